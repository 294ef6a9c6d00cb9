"""Open a study's triple for a stage, and make sure that it is the one that the study was started with.

Snakemake decides by the digests of the checkpoints which jobs run again. Were a checkpoint another one by the
time a job opens it, that job's results would count as made with the former.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.study.layout import Layout
from benchmarks.study.triple_settings import TripleSettings
from frism.errors import UserError
from frism.files import read_json
from frism.triples.triple import Triple

WEIGHTS = "weights"  # of the record: digests by role, and of further checkpoints by folder


def open_triple(
    layout: Layout,
    settings: TripleSettings,
    scope: str = "mat",
    *,
    base: str | None = None,
    text_receiver: bool = False,
) -> Triple:
    """Open the triple, or one with another base. Raises UserError when it was replaced since the start."""
    triple = settings.open(scope, base=base, text_receiver=text_receiver)
    for role, digest in triple.digest.items():
        held = triple.checkpoints.get(role)  # several donors are one R, with no folder
        folder = str(held.folder) if held else " and ".join(settings.sources[2:])
        check_planned(layout, base if role == "base" and base else role, digest, folder)
    return triple


def check_planned(layout: Layout, name: str, digest: str, folder: str) -> None:
    """Raise UserError unless a checkpoint is the one that the record names so, or it names none.

    Args:
        name: the role, or the folder of a checkpoint that is no part of the triple.
    """
    planned = _read_planned(layout)
    if planned.get(name, digest) != digest:
        raise UserError(
            f"{folder} ({name}) is another checkpoint than when this study was started: start snakemake"
            " again, which makes anew what depends on it."
        )


def _read_planned(layout: Layout) -> Mapping[str, Any]:
    if not layout.record.is_file():
        return {}
    planned = read_json(layout.record).get(WEIGHTS)
    return planned if isinstance(planned, dict) else {}
