"""Change knocked out: a part of merged minus V is taken out, and what the variant loses is scored.

A counterpart of FRISM's rank-by-rank figure (arXiv 2601.21187) at the level of layers, of this project: what
a merge cannot do without. Everything that the variant's method changed counts, gates and strength included,
and nothing else is touched. `unit` says what is taken out at a time: layers, a window of `block` layers,
`stride` apart (0: side by side), in one `module` or all of a layer; or spectrum, one of `parts` blocks of
each matrix' own singular directions, largest first. What lies behind the layers goes with the last one.
"""

from collections.abc import Iterator
from typing import Literal

from benchmarks.analyses.measuring.blocks import Window
from benchmarks.analyses.measuring.change import Change
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import OUT, Intervention
from frism.method.ranges import Count

LISTS = ("module", "unit")
MERGES = True


def intervene(
    ground: Ground,
    *,
    unit: Literal["layers", "spectrum"] = "layers",
    module: Literal["all", "attention", "mlp"] = "all",
    window: Window = Window(),  # noqa: B008 (frozen)
    parts: Count = 8,
) -> Iterator[Intervention]:
    """Yield the variant, V, and the variant without each part of its change."""
    yield from Change.of(ground, parts).list_steps(OUT, unit, module, window)
