"""Record what a study is run with: its config with every default, the code, the packages and the machine.

python -m benchmarks.stages.record --config config/miniature.yaml --out results/miniature/study.json
A study begins with it; all stages read the file, and with it any of them can be run again by hand.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.stages.open_triple import WEIGHTS
from benchmarks.study.config import StudyConfig
from frism.errors import report_errors
from frism.files import write_json

SOURCES = ("frism", "baselines", "benchmarks", "workflow", "Snakefile")


def describe_run(study: StudyConfig, weights: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the record of a run: config, code, machine and packages, but not when it ran or for whom.

    `weights`: the digests of its checkpoints, which every stage compares with those that it opens.
    """
    installed = {d.metadata["Name"].lower(): d.version for d in distributions() if d.metadata["Name"]}
    return {
        "config": study.model_dump(mode="json"),
        **({} if weights is None else {WEIGHTS: dict(weights)}),
        "code": _read_commit(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "kind": platform.machine(), "cores": os.cpu_count()},
        "packages": dict(sorted(installed.items())),
    }


def write_record(study: StudyConfig, out: Path, weights: Mapping[str, str] | None = None) -> None:
    """Write the record, whole or not at all."""
    write_json(out, describe_run(study, weights))


def _read_commit() -> dict[str, Any] | None:
    """Read the commit of this project's sources, and whether they differ from it; None outside git."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit, changes = (
            subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *SOURCES])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "changed": bool(changes.strip())}


@report_errors()
def main(
    config: Annotated[Path, typer.Option(help="the study's config: YAML as you write it, or JSON")],
    out: Annotated[Path, typer.Option(help="the JSON to write")],
) -> None:
    """Record what a study is run with."""
    write_record(StudyConfig.load(config), out)


if __name__ == "__main__":
    typer.run(main)
