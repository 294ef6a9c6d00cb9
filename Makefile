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

.PHONY: help run test slow lint check models install clean

help: ## list the commands
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | sort | expand -t 12
	@echo "Variables: PYTHON (a Python 3.11, default python3.11), CORES (default all)."

run: $(STAMP) ## the miniature study from start to finish, into results/miniature
	python -m snakemake --cores $(CORES)
	@echo
	@echo "Finished. Where to look:"
	@echo "  results/miniature/summary.md     what this study shows, in words"
	@echo "  results/miniature/figures/       the trade-off, the gates, the learning curves"
	@echo "  results/miniature/tables/        every number, as CSV and Markdown"
	@echo "To run it again or change it: source $(BIN)/activate; snakemake --cores all"

test: $(STAMP) ## the tests, without those that take minutes each
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile -m "not slow"

slow: $(STAMP) ## the tests that take minutes each
	OMP_NUM_THREADS=1 python -m pytest -m slow

lint: $(STAMP) ## style, types and the workflow's own checks
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy
	python -m snakefmt --check Snakefile workflow
	python -m snakemake --lint

check: $(STAMP) ## run the study and compare it with the committed reference
	python -m snakemake --cores $(CORES)
	python -m benchmarks.compare --reference results/reference/miniature --results results/miniature

models: $(STAMP) ## train the miniature triple again (about 50 minutes)
	python -m snakemake --cores 2 miniature_models

install: $(STAMP) ## only create .venv

clean: ## remove the study's results (not the reference, not .venv)
	rm -rf results/miniature .snakemake

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
