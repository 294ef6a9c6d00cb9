"""Snakemake's command line in a process forked from one that has imported Snakemake and torch already.

A plan takes nine seconds as a command, of which six go into imports that are the same every time. What
belongs to the project is imported anew, from the folder in which the plan is made.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = ["snakemake.cli", "torch", "pandas", "pydantic", "rich.progress", "typer", "yaml", "safetensors"]


@cache
def _get_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_forked(
    options: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path, seconds: float
) -> int:
    """Run `snakemake OPTIONS` in a folder, its messages into `output`; return the exit code."""
    arguments = (list(options), str(folder), dict(environment), str(output))
    process = _get_context().Process(target=_begin, args=arguments)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"snakemake {' '.join(options)} took more than {seconds:.0f} s")
    return process.exitcode


def _begin(options: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become what `python -m snakemake` in that folder would be."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [folder, *(path for path in sys.path if path and Path(path) != ROOT)]
    ours = ("frism", "baselines", "benchmarks", "workflow")
    assert not [name for name in sys.modules if name.partition(".")[0] in ours]
    from snakemake.cli import main

    sys.argv = ["snakemake", *options]
    main(options)
