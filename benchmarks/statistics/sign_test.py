"""Test by signs alone whether an effect goes one way in most triples, and say how much so few can show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from benchmarks.statistics.paired_tests import mcnemar


@dataclass(frozen=True)
class SignTest:
    """Holds an exact two-sided sign test.

    Attributes:
        above, n: effects above 0, of those that are not 0. p: 1 for none.
        smallest_p: what all n on one side would give: above alpha nothing can be shown.
        power: the chance to find (p below alpha) an effect that goes one way in 9 triples of 10.
    """

    above: int
    n: int
    p: float
    smallest_p: float
    power: float


def compare_signs(effects: Sequence[float], alpha: float = 0.05, consistency: float = 0.9) -> SignTest:
    """Test the signs of independent effects (bases' means): under the null either sign is as likely."""
    signs = np.sign(np.asarray(effects, float))
    above, n = int((signs > 0).sum()), int((signs != 0).sum())
    if n == 0:
        return SignTest(0, 0, 1.0, 1.0, 0.0)
    return SignTest(
        above, n, find_two_sided_p(above, n), find_two_sided_p(n, n), find_power(n, alpha, consistency)
    )


def find_two_sided_p(above: int, n: int) -> float:
    """Find the exact p of `above` of n signs."""
    return float(mcnemar(above, n - above))


def find_power(n: int, alpha: float = 0.05, consistency: float = 0.9) -> float:
    """Find the chance that n signs, each positive with chance `consistency`, give a p below alpha."""
    counts = np.arange(n + 1)
    return float(binom.pmf(counts, n, consistency)[mcnemar(counts, n - counts) < alpha].sum())


def count_needed(alpha: float = 0.05) -> int:
    """Count the effects that a sign test needs at least to be able to find anything: all on one side."""
    return math.floor(1 - math.log2(alpha)) + 1 if alpha < 1 else 1
