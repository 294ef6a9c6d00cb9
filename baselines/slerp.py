"""SLERP: V and R as directions, interpolated along the arc between them by `t`.

Shoemake 1985, Animating rotation with quaternion curves, on whole weight tensors, as merging libraries do:
with the angle a between V and R (flattened), (sin((1 - t) a) V + sin(t a) R) / sin(a). Where |cos a| exceeds
`straight` the arc is as good as a line, or undefined, and V and R are interpolated linearly (0.9995, as in
mergekit 0.1.5). Deviation: V and R keep their own norms, as there. Both descend from one base, so their
cosine is often near 1 and the result near that of `interp` at 1 - t.
"""

from typing import Any

from baselines._arc import measure_cosine, weigh
from frism.method import Array, Pieces, Site
from frism.method.mergekit import Config, Names

GRANULARITY = "tensor"
READS = {"vlm", "lrm"}
MERGEKIT_DIFFERENCE = "slerp: the same formula, in fp32."
ELEMENTWISE = True  # given the angle


def measure(pieces: Pieces) -> float:
    """Return the cosine of the angle between V and R."""
    return measure_cosine((piece.vlm, piece.lrm) for piece in pieces())


def merge(site: Site, *, t: float = 0.1, straight: float = 0.9995) -> Array:
    """Merge one tensor, fp32. `t` 0 is V, 1 is R."""
    first, second = weigh(site.measured, t, straight)
    return first * site.vlm + second * site.lrm


def mergekit(names: Names, *, t: float, **_: Any) -> Config:
    """Write the merge as mergekit's slerp."""
    return {"merge_method": "slerp", "base_model": names["vlm"], "models": [{"model": names["lrm"]}],
            "parameters": {"t": t}}  # fmt: skip
