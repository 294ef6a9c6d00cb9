"""The project's command lines in processes forked from one that has imported Snakemake and torch already.

A command takes nine seconds, of which six go into imports that are the same every time. What belongs to the
project is imported anew, from the folder in which the command runs.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = [
    "snakemake.cli", "torch", "transformers.models.qwen2_vl.modeling_qwen2_vl", "pandas", "scipy.stats",
    "matplotlib.pyplot", "pydantic", "rich.progress", "typer", "yaml", "safetensors.torch",
]  # fmt: skip


@cache
def _get_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def can_fork(words: Sequence[str]) -> bool:
    """Say whether a command is one that `run_forked` knows."""
    return words[0] in ("frism", "snakemake") or list(words[:2]) == ["python", "-m"]


def run_forked(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path, seconds: float
) -> int:
    """Run `frism ...`, `snakemake ...` or `python -m ...` in a folder; return the exit code.

    What it says goes into the file `output`.
    """
    arguments = (list(words), str(folder), dict(environment), str(output))
    process = _get_context().Process(target=_begin, args=arguments)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{' '.join(words)} took more than {seconds:.0f} s")
    return process.exitcode


def _begin(words: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become what the command would be in that folder."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [folder, *(path for path in sys.path if path and Path(path) != ROOT)]
    ours = ("frism", "baselines", "benchmarks", "workflow")
    assert not [name for name in sys.modules if name.partition(".")[0] in ours]
    match words:
        case ["python", "-m", module, *options]:
            sys.argv = [module, *options]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["frism", *options]:
            from frism.__main__ import main as run_frism

            sys.argv = ["frism", *options]
            run_frism()
        case ["snakemake", *options]:
            from snakemake.cli import main

            sys.argv = ["snakemake", *options]
            main(options)
        case _:
            raise ValueError(f"{words[0]} is no command that can be forked")
