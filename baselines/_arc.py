"""Interpolate between two tensors along the arc between their directions (Shoemake 1985)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

SMALL = 1e-8  # a norm below this has no direction


def measure_cosine(pieces: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the cosine of the angle between two tensors, summed in float64; 0 when one has no direction."""
    sums = torch.zeros(3, dtype=torch.float64)
    for one, other in pieces:
        v, r = one.flatten().double(), other.flatten().double()
        sums += torch.stack((v @ v, r @ r, v @ r)).cpu()
    v_square, r_square, product = (float(value) for value in sums)
    norms = [math.sqrt(square) if square > SMALL**2 else 1.0 for square in (v_square, r_square)]
    return max(-1.0, min(1.0, product / norms[0] / norms[1]))


def weigh(cosine: float, t: float, straight: float) -> tuple[float, float]:
    """Return what the two tensors are multiplied by at `t`; on a line where |cosine| exceeds `straight`."""
    angle = math.acos(cosine)
    if abs(cosine) > straight or math.sin(angle) < SMALL:
        return 1 - t, t
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
