"""Begin a stage's command: the options that stages share, and log lines that carry the variant's name."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.stages.allocator import keep_freed_memory
from benchmarks.study.question_settings import VariantPrompting
from frism.checkpoints.sources import watch_sources
from frism.errors import UserError, suggest

StudyFile = Annotated[Path, typer.Option("--study", help="the study's record: results/<study>/study.json")]
VariantName = Annotated[str, typer.Option("--variant", help="a variant of the study")]
PointNumber = Annotated[int | None, typer.Option("--point", help="a point of its grid, for the oracle")]
PACKAGES = ("frism", "baselines", "benchmarks")


def begin(name: str) -> None:
    """Begin a stage: log lines of this project's packages go to stderr behind `name`, others only warn.

    Freed memory stays with the process, which is the stage's alone. A checkpoint that is changed meanwhile
    ends it.
    """
    keep_freed_memory()
    watch_sources()
    logging.basicConfig(stream=sys.stderr, format=f"{name}: %(message)s", level=logging.WARNING, force=True)
    # It warns that its time limits are off, which is meant: a busy machine must not change a score.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)


def find_variant(variants: Mapping[str, VariantPrompting], name: str) -> str | None:
    """Return the name under which a variant's own items lie; None for those that most variants share.

    Raises UserError for a variant that the study does not have.
    """
    if name not in variants:
        raise UserError(
            f"the study has no variant '{name}' ({', '.join(variants)}).{suggest(name, variants)}"
        )
    return name if variants[name].needs_own_items else None
