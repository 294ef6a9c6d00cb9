"""Paired statistics on per-question scores: intervals, exact tests, bootstrap, multiplicity, power.

A score is one question's value in [0, 1]. A stratum is one benchmark: the questions that two variants
both answered. A group's score is the plain mean of its strata's means, so that a benchmark with many
questions weighs no more than one with few. Everything repeats bit for bit for a seed, whatever else
is computed before it.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Stratum:
    """One benchmark's paired scores: `variant`, `reference` of shape (n,); `clusters` (n,) labels or None."""

    variant: Floats
    reference: Floats
    clusters: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        if self.variant.shape != self.reference.shape or self.variant.ndim != 1 or not self.variant.size:
            raise ValueError(f"paired scores of shapes {self.variant.shape} and {self.reference.shape}")


@dataclass(frozen=True)
class Comparison:
    """A variant against a reference on the same questions; shares in [0, 1], p two-sided, before Holm.

    `gained`/`lost`: questions whose score rose/fell. `retention`: score / reference score.
    `detectable`: smallest true difference that 80 of 100 such studies would find.
    """

    n: int
    score: float
    score_interval: Interval
    reference: float
    difference: float
    difference_interval: Interval
    p: float
    gained: int
    lost: int
    retention: float
    retention_interval: Interval
    detectable: float


def wilson(correct: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share; conservative for fractional scores (`correct`: their sum)."""
    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
    # The exact ends at 0 and n are 0 and 1; rounding leaves them a hair off, even outside.
    return (0.0 if correct == 0 else max(float(low), 0.0), 1.0 if correct == n else min(float(high), 1.0))


def newcombe(variant: ArrayLike, reference: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval of a paired difference of shares of 0/1 scores: Newcombe 1998, Stat. Med. 17:2635, method 10.

    Unlike the bootstrap it stays honest at the edges: two variants with no flip on 400 questions get an
    interval of positive width.
    """
    a, b = np.asarray(variant, float), np.asarray(reference, float)
    n = len(a)
    both, only_a = float((a * b).sum()), float((a * (1 - b)).sum())
    only_b, neither = float(((1 - a) * b).sum()), float(((1 - a) * (1 - b)).sum())
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


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar p: a binomial test of the flips against one half (1 without flips)."""
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjusted p; NaN entries are no tests: they stay NaN and do not count."""
    p = np.asarray(p_values, float)
    adjusted, tested = np.full(p.shape, np.nan), ~np.isnan(p)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method="holm")[1]
    return adjusted


def detectable_difference(n: int, discordance: float, confidence: float = 0.95, power: float = 0.8) -> float:
    """Smallest true paired difference that a two-sided McNemar test on `n` pairs finds with `power`.

    Normal approximation (Connor 1987): d sqrt(n) = z_a sqrt(psi) + z_b sqrt(psi - d^2) solved for d,
    psi = `discordance` (mean squared paired difference). As d cannot exceed psi, few flips leave a floor.
    """
    z_a, z_b = norm.ppf((1 + confidence) / 2), norm.ppf(power)
    root = math.sqrt(max(z_a**2 * n - (n + z_b**2) * (z_a**2 - z_b**2), 0.0))
    slope = (z_a * math.sqrt(n) + root) / (n + z_b**2)
    return min(max(slope * math.sqrt(discordance), slope**2), 1.0)


def generator(seed: int, *key: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the words of `key` alone, not on what was drawn before."""
    digest = hashlib.sha256("\0".join([str(seed), *key]).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def resampled_means(
    values: ArrayLike, *, resamples: int, rng: np.random.Generator, clusters: ArrayLike | None = None
) -> Floats:
    """Bootstrap means of the rows of `values` (n, k), drawn together: shape (resamples, k).

    With `clusters` (n,) whole clusters are drawn. Rows that are alike are drawn by one multinomial count,
    which is the same distribution as drawing indices, and hundreds of times faster on 0/1 scores.
    """
    rows = np.asarray(values, float)
    if clusters is None:
        units = np.column_stack([rows, np.ones(len(rows))])
    else:
        codes = np.unique(np.asarray(clusters).astype(str), return_inverse=True)[1]
        units = np.zeros((codes.max() + 1, rows.shape[1] + 1))
        np.add.at(units, codes, np.column_stack([rows, np.ones(len(rows))]))
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    draws = rng.multinomial(len(units), counts / len(units), size=resamples)
    sums = np.einsum("rk,kj->rj", draws, kinds)  # not BLAS, whose sums depend on its threads
    return sums[:, :-1] / sums[:, -1:]


def group_mean(
    correct: Sequence[float], n: Sequence[int], confidence: float = 0.95
) -> tuple[float, Interval]:
    """Mean over benchmarks of their shares, with an interval: Wilson's, combined by square-and-add.

    MOVER (Zou and Donner 2008): the distance from the mean to each limit is the root of the summed
    squared distances of the benchmarks' own Wilson limits, over their number. One benchmark: Wilson.
    """
    shares = np.array([c / m for c, m in zip(correct, n, strict=True)])
    limits = np.array([wilson(c, m, confidence) for c, m in zip(correct, n, strict=True)])
    mean = float(shares.mean())
    below = float(np.sqrt(((shares - limits[:, 0]) ** 2).sum())) / len(shares)
    above = float(np.sqrt(((limits[:, 1] - shares) ** 2).sum())) / len(shares)
    return mean, (mean - below, mean + above)


def paired(
    strata: Sequence[Stratum],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    key: str = "",
) -> Comparison:
    """Compare two variants over one benchmark or a group of them.

    Score: `group_mean`. Difference: for one benchmark of unclustered 0/1 scores Newcombe's interval,
    otherwise the percentile interval of a paired bootstrap within each benchmark. p: exact McNemar on the
    flips of all benchmarks together (the sign test, for fractional scores); with equal n it tests the mean
    difference itself, and it holds under "no benchmark differs" for any n. `key` names the comparison
    for the seed.
    """
    first = strata[0]
    changes = np.concatenate([s.variant - s.reference for s in strata])
    gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
    n = len(changes)
    score, score_interval = group_mean(
        [float(s.variant.sum()) for s in strata], [len(s.variant) for s in strata], confidence
    )
    reference = float(np.mean([s.reference.mean() for s in strata]))
    means = np.mean(
        [
            resampled_means(
                np.column_stack([s.variant, s.reference]),
                resamples=resamples,
                rng=generator(seed, key, str(i)),
                clusters=s.clusters,
            )
            for i, s in enumerate(strata)
        ],
        axis=0,
    )
    binary = bool(np.isin(np.concatenate([first.variant, first.reference]), (0, 1)).all())
    if len(strata) == 1 and first.clusters is None and binary:
        difference_interval = newcombe(first.variant, first.reference, confidence)
    else:
        difference_interval = _percentiles(means[:, 0] - means[:, 1], confidence)
    kept = means[:, 0] / np.where(means[:, 1] > 0, means[:, 1], np.nan)
    return Comparison(
        n=n,
        score=score,
        score_interval=score_interval,
        reference=reference,
        difference=score - reference,
        difference_interval=difference_interval,
        p=mcnemar(gained, lost),
        gained=gained,
        lost=lost,
        retention=score / reference if reference > 0 else math.nan,
        retention_interval=(math.nan, math.nan) if np.isnan(kept).any() else _percentiles(kept, confidence),
        detectable=detectable_difference(n, float((changes**2).mean()), confidence),
    )


def _percentiles(values: Floats, confidence: float) -> Interval:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
