"""Let one Snakemake work in a folder at a time; unlike its own lock, this one cannot outlive a kill.

Studies that one caller runs side by side (`workflow.studies`) hold a lock of their own each.
"""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from frism.errors import UserError

FILE = Path(".snakemake/running")
SIDE_BY_SIDE = "FRISM_SIDE_BY_SIDE"  # set by the caller, who holds FILE
_held: list[TextIO] = []  # the operating system releases it however this process ends


def work_alone(study: str = "") -> None:
    """Hold the folder until this process ends. Raises UserError when another one holds it.

    `study`: held instead of the whole folder, where this is one of several studies side by side.
    """
    path = FILE.with_name(f"{FILE.name}_{study}") if os.environ.get(SIDE_BY_SIDE) and study else FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    _held.append(path.open("a"))
    try:
        fcntl.flock(_held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(f"another snakemake is running in {Path.cwd()}: wait for it or end it.") from None
