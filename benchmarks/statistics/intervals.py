"""Compute intervals of scores and paired differences: Wilson, Newcombe, bootstrap of questions or clusters.

Everything repeats bit for bit for a seed, whatever else is computed before it.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def wilson(correct: float, n: float, confidence: float = 0.95) -> Interval:
    """Compute Wilson's interval of a share; conservative for fractional scores (`correct`: their sum)."""
    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
    # The exact ends at 0 and n are 0 and 1; rounding leaves them a hair off, even outside.
    return (0.0 if correct == 0 else max(float(low), 0.0), 1.0 if correct == n else min(float(high), 1.0))


def newcombe(
    variant: ArrayLike, reference: ArrayLike, confidence: float = 0.95, worth: float = 1.0
) -> Interval:
    """Compute the interval of a paired difference of shares of 0/1 scores by Newcombe's method 10.

    Newcombe 1998, Stat. Med. 17:2635. Unlike the bootstrap it stays honest at the edges: two variants with no
    flip on 400 questions get an interval of positive width. `worth`: what one question counts for, below 1
    for dependent ones.
    """
    a, b = np.asarray(variant, float), np.asarray(reference, float)
    n = worth * len(a)
    both, only_a = worth * float((a * b).sum()), worth * float((a * (1 - b)).sum())
    only_b, neither = worth * float(((1 - a) * b).sum()), worth * float(((1 - a) * (1 - b)).sum())
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    product = both * neither - only_a * only_b
    if product > 0:
        product = max(product - n / 2, 0.0)  # Newcombe's continuity correction of the correlation
    phi = product / math.sqrt(margins) if margins > 0 else 0.0
    p1, p2 = (both + only_a) / n, (both + only_b) / n
    (l1, u1), (l2, u2) = wilson(both + only_a, n, confidence), wilson(both + only_b, n, confidence)

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))

    return p1 - p2 - reach(p1 - l1, u2 - p2), p1 - p2 + reach(u1 - p1, p2 - l2)


def make_generator(seed: int, *key: str) -> np.random.Generator:
    """Make a generator whose numbers depend on the seed and the texts of `key` alone."""
    digest = hashlib.sha256("\0".join([str(seed), *key]).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def resample_means(
    values: ArrayLike, *, resamples: int, rng: np.random.Generator, clusters: ArrayLike | None = None
) -> Floats:
    """Resample the means of `values` (n, k), whole rows at a time: shape (resamples, k).

    With `clusters` (n,) whole clusters are drawn. Rows that are alike are drawn by one multinomial count,
    which is the same distribution as drawing indices, and hundreds of times faster on 0/1 scores.
    """
    rows = np.asarray(values, float)
    if clusters is None:
        units = np.column_stack([rows, np.ones(len(rows))])
    else:
        codes = np.unique(clusters, return_inverse=True)[1]
        units = np.zeros((codes.max() + 1, rows.shape[1] + 1))
        np.add.at(units, codes, np.column_stack([rows, np.ones(len(rows))]))
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    draws = rng.multinomial(len(units), counts / len(units), size=resamples)
    sums = np.einsum("rk,kj->rj", draws, kinds)  # not BLAS, whose sums depend on its threads
    return np.asarray(sums[:, :-1] / sums[:, -1:])


def design_effect(changes: ArrayLike, clusters: ArrayLike | None) -> float:
    """Compute by how much clusters widen the variance of a mean: cluster-robust over independent, at least 1.

    Values that do not vary tell nothing of their dependence: then the whole of a cluster counts as one.
    """
    if clusters is None:
        return 1.0
    values = np.asarray(changes, float)
    codes = np.unique(clusters, return_inverse=True)[1]
    counts = np.bincount(codes)
    n, k = len(values), len(counts)
    residuals = values - values.mean()
    alone = float((residuals**2).sum())
    if alone == 0 or k == 1:
        return float((counts**2).sum() / n)
    whole = float((np.bincount(codes, residuals) ** 2).sum())
    return max(whole / alone * (k / (k - 1)) * ((n - 1) / n), 1.0)


def score_interval(
    scores: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Compute the interval of one benchmark's score: Wilson's, or a bootstrap of whole clusters.

    Where all clusters score alike the bootstrap would have no width: Wilson's, each cluster counted once.
    """
    values = np.asarray(scores, float)
    if clusters is None:
        return wilson(float(values.sum()), len(values), confidence)
    return cluster_intervals(
        values[:, None], clusters, confidence=confidence, resamples=resamples, seed=seed
    )[0]


def cluster_intervals(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Interval]:
    """Compute the intervals of the means of columns of scores (n, k) by one bootstrap of whole clusters (n,).

    Where all clusters score alike: Wilson's, each cluster counted once.
    """
    columns = np.asarray(values, float)
    means = resample_means(columns, resamples=resamples, rng=make_generator(seed, "score"), clusters=clusters)
    k = len(np.unique(clusters))
    return [
        wilson(float(column.mean()) * k, k, confidence)
        if np.ptp(drawn) == 0
        else percentiles(drawn, confidence)
        for column, drawn in zip(columns.T, means.T, strict=True)
    ]


def mean_interval(shares: ArrayLike, limits: ArrayLike) -> tuple[float, Interval]:
    """Average independent shares (k,), and combine their intervals (k, 2) by square-and-add.

    MOVER (Zou and Donner 2008): the distance from the mean to each limit is the root of the summed
    squared distances of the benchmarks' own limits, over their number. One benchmark: its own limits.
    """
    points, ends = np.asarray(shares, float), np.asarray(limits, float)
    mean = float(points.mean())
    below = float(np.sqrt(((points - ends[:, 0]) ** 2).sum())) / len(points)
    above = float(np.sqrt(((ends[:, 1] - points) ** 2).sum())) / len(points)
    return mean, (mean - below, mean + above)


def group_mean(
    correct: Sequence[float], n: Sequence[int], confidence: float = 0.95
) -> tuple[float, Interval]:
    """Average over benchmarks of independent questions, with an interval, from sums of scores and sizes."""
    sizes = list(zip(correct, n, strict=True))
    return mean_interval([c / m for c, m in sizes], [wilson(c, m, confidence) for c, m in sizes])


def percentiles(values: Floats, confidence: float) -> Interval:
    """Find the ends of the middle `confidence` of resampled values (resamples,)."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
