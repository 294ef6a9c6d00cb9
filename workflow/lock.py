"""Let one Snakemake work in a folder at a time; unlike its own lock, this one cannot outlive a kill."""

import fcntl
from pathlib import Path
from typing import TextIO

from frism.errors import UserError

FILE = Path(".snakemake/running")
_held: list[TextIO] = []  # the operating system releases it however this process ends


def work_alone() -> None:
    """Hold the folder until this process ends. Raises UserError when another one holds it."""
    _held.append(FILE.open("a"))
    try:
        fcntl.flock(_held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(f"another snakemake is running in {Path.cwd()}: wait for it or end it.") from None
