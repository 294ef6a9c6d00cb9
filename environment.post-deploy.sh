# Run by `snakemake --sdm conda` inside the environment it has built from environment.yml (unproven, see there).
set -o errexit
pip install --no-deps ms-vlmeval==0.0.20 qwen-vl-utils==0.0.14
