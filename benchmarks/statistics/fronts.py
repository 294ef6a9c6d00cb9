"""Find the Pareto front of points on two axes."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics.intervals import Floats


def find_front(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Find the points (..., V) that no other dominates, being as good on both axes and better on one."""
    result = np.empty(x.shape, bool)
    for j in range(x.shape[-1]):
        a, b = x[..., [j]], y[..., [j]]
        result[..., j] = ~((x >= a) & (y >= b) & ((x > a) | (y > b))).any(axis=-1)
    return result
