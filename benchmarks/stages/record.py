"""The record of a study: its config as it was run, the code, the packages and the machine.

python -m benchmarks.stages.record --config JSON --out results/miniature/study.json
"""

import json
import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Any

import typer

from frism.errors import UserError, report_errors
from frism.files import atomic_write


def record(config: dict[str, Any]) -> dict[str, Any]:
    """What is written. Nothing in it says when or by whom."""
    installed = {d.metadata["Name"].lower(): d.version for d in distributions() if d.metadata["Name"]}
    return {
        "config": config,
        "code": _commit(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "kind": platform.machine(), "cores": os.cpu_count()},
        "packages": dict(sorted(installed.items())),
    }


def _commit() -> dict[str, Any] | None:
    """The commit of this project's sources, and whether they differ from it; None outside git."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit, changes = (
            subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
            for arguments in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--", "frism", "baselines", "benchmarks", "workflow", "Snakefile"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "changed": bool(changes.strip())}


@report_errors()
def main(
    config: Annotated[str, typer.Option(help="the study's config as JSON, defaults filled in")],
    out: Annotated[Path, typer.Option(help="the JSON to write")],
) -> None:
    """Record what a study was run with."""
    try:
        content = record(json.loads(config))
    except ValueError as error:
        raise UserError(f"--config is not JSON ({error}).") from None
    with atomic_write(out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
