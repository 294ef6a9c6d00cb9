"""Compute Newcombe's interval for every pair of columns of 0/1 scores at once."""

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.statistics.intervals import Floats, wilson


def newcombe_pairs(scores: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Compute the ends (V, V) of the interval of column i minus column j, by Newcombe's method 10.

    Args:
        scores: 0 or 1, shape (n, V), a column per variant; questions count as independent.

    As `intervals.newcombe` for each pair. The diagonal is the interval of no difference at all.
    """
    x = np.asarray(scores, float)
    n = len(x)
    right = x.sum(axis=0)
    limits = np.array([wilson(float(k), n, confidence) for k in right])
    share = right / n
    both = x.T @ x  # whole numbers: exact whatever the order of summation
    only_a, only_b = right[:, None] - both, right[None, :] - both
    neither = n - both - only_a - only_b
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    product = both * neither - only_a * only_b
    product = np.where(product > 0, np.maximum(product - n / 2, 0.0), product)
    phi = np.divide(product, np.sqrt(margins), out=np.zeros_like(product), where=margins > 0)
    below, above = share - limits[:, 0], limits[:, 1] - share

    def reach(own: Floats, other: Floats) -> Floats:
        squared = own[:, None] ** 2 - 2 * phi * own[:, None] * other[None, :] + other[None, :] ** 2
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))

    difference = share[:, None] - share[None, :]
    return difference - reach(below, above), difference + reach(above, below)
