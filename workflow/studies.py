"""Run the studies of several configs, some side by side, each by a Snakemake of its own with one core.

python -m workflow.studies config/population/b0_*.yaml --at-a-time 2
`snakemake population` calls this. A study that is finished costs a few seconds; one that was cut off is taken
up. One that fails does not keep the others from running, and is named at the end.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.study.config import StudyConfig
from frism.errors import UserError, report_errors
from workflow.lock import SIDE_BY_SIDE

LOGS = Path("results/logs")


def run_studies(configs: Sequence[Path], at_a_time: int, cores: int = 1) -> None:
    """Run every study. Raises UserError for a faulty config, and at the end for studies that failed."""
    names = {config: StudyConfig.load(config).study for config in configs}
    twice = [str(c) for c in configs if list(names.values()).count(names[c]) > 1]
    if twice:
        raise UserError(f"{' and '.join(twice)} are studies of one name: rename one.")
    console, begun = Console(stderr=True), time.monotonic()
    console.print(f"{len(configs)} studies, {at_a_time} at a time", highlight=False)
    with ThreadPoolExecutor(at_a_time) as pool:
        jobs = {config: pool.submit(run_study, config, names[config], cores) for config in configs}
        for number, (config, job) in enumerate(jobs.items(), 1):
            state = "finished" if job.result() == 0 else "FAILED"
            minutes = (time.monotonic() - begun) / 60
            console.print(
                f"{number} of {len(configs)}: {names[config]} {state} ({minutes:.0f} min)", highlight=False
            )
    failed = [config for config, job in jobs.items() if job.result()]
    if failed:
        logs = ", ".join(str(LOGS / f"{names[config]}.log") for config in failed)
        raise UserError(
            f"{len(failed)} of {len(configs)} studies failed (see {logs}): mend them and run again."
        )


def run_study(config: Path, name: str, cores: int = 1) -> int:
    """Run one study, its output into a log; return the exit status."""
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", str(config)]
    with (LOGS / f"{name}.log").open("w") as log:
        return subprocess.run(
            command, env=os.environ | {SIDE_BY_SIDE: "1"}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip


@report_errors()
def main(
    configs: Annotated[list[Path], typer.Argument(help="Configs, a study each.")],
    at_a_time: Annotated[int, typer.Option(min=1, help="Studies side by side.")] = 2,
    cores: Annotated[int, typer.Option(min=1, help="Cores of each.")] = 1,
) -> None:
    """Run studies, some side by side."""
    run_studies(configs, at_a_time, cores)


if __name__ == "__main__":
    typer.run(main)
