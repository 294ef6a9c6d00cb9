"""Where the peers live and how they are run: each in its own environment, in a process of its own.

`make parity` makes the environments under .venv-peers. FRISM_PEERS names another folder of environments,
BR2V_CHECKOUT another checkout of Bring Reason to Vision's code, FRISM_AUTHORS another folder of checkouts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = Path(os.environ.get("FRISM_PEERS") or ROOT / ".venv-peers")
MERGEKIT = PEERS / "mergekit/bin/python"
BR2V = PEERS / "br2v/bin/python"
BR2V_CHECKOUT = Path(os.environ.get("BR2V_CHECKOUT") or PEERS / "VLM_Merging")

AUTHORS = Path(os.environ.get("FRISM_AUTHORS") or PEERS / "authors")
REPOSITORIES = ("MLLMerging", "DC-Merge", "iso-merging", "pcb-merging")

needs_authors = pytest.mark.skipif(
    not (MERGEKIT.is_file() and all((AUTHORS / name).is_dir() for name in REPOSITORIES)),
    reason=f"no checkouts of {', '.join(REPOSITORIES)} in {AUTHORS}: run `make parity`",
)
needs_fusion_bench = pytest.mark.skipif(
    not (MERGEKIT.is_file() and (AUTHORS / "fusion_bench").is_dir()),
    reason=f"no checkout of FusionBench in {AUTHORS}: run `make parity`",
)
needs_mergekit = pytest.mark.skipif(
    not MERGEKIT.is_file(), reason=f"no mergekit environment at {PEERS / 'mergekit'}: run `make parity`"
)
needs_br2v = pytest.mark.skipif(
    not (BR2V.is_file() and (BR2V_CHECKOUT / "merge.py").is_file()),
    reason=f"no environment at {PEERS / 'br2v'} or no merge.py in {BR2V_CHECKOUT}: run `make parity`",
)


def run(python: Path, driver: str, jobs: list[dict[str, Any]], folder: Path, *arguments: str | Path) -> None:
    """Run all `jobs` in one process of the peer's `python`, through a driver in this folder."""
    listed = folder / f"{driver}.json"
    listed.write_text(json.dumps(jobs))
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, HERE / driver, listed, *arguments],
        env=os.environ | offline,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"the peer failed:\n{done.stdout[-4000:]}"


def frism_merge(triple: Path, out: Path, method: str, params: dict[str, Any], *options: str) -> None:
    """Run our own command in a process of its own, on the folders base/, vlm/ and lrm/ below `triple`."""
    command = [sys.executable, "-m", "frism", "merge", "--method", method, "--out", str(out), *options]
    command += [word for role in ("base", "vlm", "lrm") for word in (f"--{role}", str(triple / role))]
    command += [word for key, value in params.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]


def read(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint folder."""
    return {n: t for shard in folder.glob("*.safetensors") for n, t in load_file(shard).items()}
