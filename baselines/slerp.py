"""SLERP: V and R as directions, interpolated along the arc between them by `t`.

Shoemake 1985, Animating rotation with quaternion curves, on whole weight tensors, as merging libraries do:
with the angle a between V and R (flattened), (sin((1 - t) a) V + sin(t a) R) / sin(a). Where |cos a| exceeds
`straight` the arc is as good as a line, or undefined, and V and R are interpolated linearly (0.9995, as in
mergekit 0.1.5). Deviation: V and R keep their own norms, as there. Both descend from one base, so their
cosine is often near 1 and the result near that of `interp` at 1 - t.
"""

import math
from typing import Any

import torch

from frism.method import Array, Pieces, Site
from frism.method.mergekit import Config, Names

READS = {"vlm", "lrm"}
MERGEKIT_DIFFERENCE = "slerp: the same formula, in fp32."
ELEMENTWISE = True  # given the angle
SMALL = 1e-8  # a norm below this has no direction


def measure(pieces: Pieces) -> float:
    """Return the cosine of the angle between V and R, summed in float64; 0 when one has no direction."""
    sums = torch.zeros(3, dtype=torch.float64)
    for piece in pieces():
        v, r = piece.vlm.flatten().double(), piece.lrm.flatten().double()
        sums += torch.stack((v @ v, r @ r, v @ r)).cpu()
    v_square, r_square, product = (float(value) for value in sums)
    norms = [math.sqrt(square) if square > SMALL**2 else 1.0 for square in (v_square, r_square)]
    return max(-1.0, min(1.0, product / norms[0] / norms[1]))


def merge(site: Site, *, t: float = 0.1, straight: float = 0.9995) -> Array:
    """Merge one tensor, fp32. `t` 0 is V, 1 is R."""
    if abs(site.measured) > straight:
        return (1 - t) * site.vlm + t * site.lrm
    angle = math.acos(site.measured)
    first, second = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    return first * site.vlm + second * site.lrm


def mergekit(names: Names, *, t: float, **_: Any) -> Config:
    """Write the merge as mergekit's slerp."""
    return {"merge_method": "slerp", "base_model": names["vlm"], "models": [{"model": names["lrm"]}],
            "parameters": {"t": t}}  # fmt: skip
