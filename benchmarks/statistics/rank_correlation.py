"""Correlate ranks of few triples: Spearman's rho with an interval, over all triples and within bases.

No more than the number of triples allows: the interval over all triples takes them as independent, which
triples of one base are not. What a base gives all its triples cannot pass for a relation within bases: there
rho is computed base by base, and the bases' values are averaged, with Student's t over bases. Ranks of four
triples take few values, which may agree by chance: an interval is never narrower than that of rhos without
any relation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, spearmanr
from scipy.stats import t as student

from benchmarks.statistics.hierarchy import UNKNOWN
from benchmarks.statistics.intervals import Floats, Interval

LEAST = 4  # triples of which a correlation says anything


@dataclass(frozen=True)
class RankCorrelation:
    """Holds a rank correlation.

    Attributes:
        rho: Spearman's over all n triples, nan where one side is constant or there are fewer than 4.
        interval: of Bonett and Wright (2000), as if triples were independent. p: two-sided, of the same.
        within: mean of the rhos within `bases` bases that have one. within_interval: t over these bases, or
            that of as many rhos by chance, whichever is wider.
    """

    rho: float
    interval: Interval
    p: float
    n: int
    within: float
    within_interval: Interval
    bases: int


def correlate_ranks(
    x: Sequence[float], y: Sequence[float], bases: Sequence[str], confidence: float = 0.95
) -> RankCorrelation:
    """Correlate two numbers of triples; triples that lack either are left out."""
    a, b, names = np.asarray(x, float), np.asarray(y, float), np.asarray(bases)
    known = np.isfinite(a) & np.isfinite(b)
    a, b, names = a[known], b[known], names[known]
    rho, n = _find_rho(a, b), len(a)
    low, high, p = _infer(rho, n, confidence)
    groups = [names == name for name in dict.fromkeys(names)]
    own = [(_find_rho(a[group], b[group]), int(group.sum())) for group in groups]
    inner = np.array([value for value, _ in own if not math.isnan(value)])
    within, within_interval = (float(inner.mean()), UNKNOWN) if len(inner) else (math.nan, UNKNOWN)
    if len(inner) > 1:
        level, root = (1 + confidence) / 2, math.sqrt(len(inner))
        chance = math.sqrt(float(np.mean([1 / (size - 1) for value, size in own if not math.isnan(value)])))
        seen = float(student.ppf(level, len(inner) - 1)) * float(inner.std(ddof=1))
        reach = max(seen, float(norm.ppf(level)) * chance) / root
        within_interval = (max(within - reach, -1.0), min(within + reach, 1.0))
    return RankCorrelation(rho, (low, high), p, n, within, within_interval, len(inner))


def _find_rho(a: Floats, b: Floats) -> float:
    if len(a) < LEAST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(spearmanr(a, b).statistic)


def _infer(rho: float, n: int, confidence: float) -> tuple[float, float, float]:
    """Compute Bonett and Wright's interval, whose variance of Fisher's z is (1 + rho^2 / 2) / (n - 3)."""
    if math.isnan(rho):
        return math.nan, math.nan, math.nan
    # Ranks in perfect order would have no width: of n triples the nearest other order stands in for them.
    largest = 1 - 6 / (n * (n**2 - 1))
    z, spread = math.atanh(min(max(rho, -largest), largest)), math.sqrt((1 + rho**2 / 2) / (n - 3))
    reach = float(norm.ppf((1 + confidence) / 2)) * spread
    p = 2 * float(norm.sf(abs(z) * math.sqrt(n - 3)))
    low, high = math.tanh(z - reach), math.tanh(z + reach)
    return min(low, rho), max(high, rho), p
