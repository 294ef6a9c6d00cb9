"""Test paired answers: exact McNemar, its form for clusters, non-inferiority, Holm's adjustment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len
from scipy.optimize import brentq
from scipy.stats import binom, norm

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
WEIGHT_STEPS = 8  # benchmarks of unequal size are weighed in steps of 1/8 of the largest one's weight
SAMPLE_STEPS = 12  # of a sample's score: thirds and quarters of a point are whole steps
SMALLEST_P = 1e-12  # the transform below is exact to about 1e-13: smaller tails are reported as this
NEGLIGIBLE = 1e-20  # of a characteristic function: adds up to far less than SMALLEST
MAX_LOSS = 1 - 1e-9  # a loss of this share is a loss of everything


@dataclass(frozen=True)
class Changes:
    """One benchmark's flips in sums: `gained` and `lost` score, questions, and their design effect.

    `gained`/`lost` are numbers of questions for 0/1 scores; for fractional scores the summed rises and
    falls, which makes the variance below an upper bound.
    """

    gained: float
    lost: float
    n: int
    design_effect: float = 1.0

    @property
    def difference(self) -> float:
        """Compute the observed difference of the scores, a share."""
        return (self.gained - self.lost) / self.n


def mcnemar(gained: ArrayLike, lost: ArrayLike) -> Floats:
    """Compute the exact two-sided McNemar p: a binomial test of the flips against one half (1 without flips).

    Elementwise over arrays. Equal to `scipy.stats.binomtest` and to statsmodels' exact McNemar.
    """
    up, down = np.asarray(gained), np.asarray(lost)
    return np.asarray(np.minimum(2 * binom.cdf(np.minimum(up, down), up + down, 0.5), 1.0))


def compute_weights(sizes: Sequence[int]) -> list[int]:
    """Compute whole-numbered weights in inverse proportion to the sizes of benchmarks; all 1 for equal sizes.

    Rounding (to at worst one part in 16) moves the weight that a benchmark has in the test a little; the
    test stays exact, as it is for any weights that do not look at the answers.
    """
    raw = [round(WEIGHT_STEPS * max(sizes) / size) for size in sizes]
    return [weight // math.gcd(*raw) for weight in raw]


def flip_units(
    changes: Sequence[ArrayLike], clusters: Sequence[Integers | None], samples: int = 1
) -> Integers:
    """Sum the signs of changes, weighted, per cluster (or question): the units of a sign-flip test.

    Of means over samples the changes themselves are summed, in whole steps: if both variants answer a
    question alike, its change is as likely as its opposite.

    Args:
        changes: per benchmark the paired differences of the scores, shape (n,) or (n, k) for k comparisons.
        clusters: per benchmark labels (n,) as numbers, or None where questions are independent.
        samples: answers that every score is the mean of.

    Returns integers of shape (units,) or (units, k).
    """
    parts = []
    sizes = [len(np.asarray(c)) for c in changes]
    for differences, codes, weight in zip(changes, clusters, compute_weights(sizes), strict=True):
        signs = np.sign(np.asarray(differences)).astype(np.int64)
        if samples > 1:
            signs = np.rint(np.asarray(differences) * samples * SAMPLE_STEPS).astype(np.int64)
        if codes is not None:
            order = np.argsort(codes, kind="stable")
            starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])
            signs = np.add.reduceat(signs[order], starts, axis=0)
        parts.append(signs * weight)
    return np.concatenate(parts)


def sign_flip(units: ArrayLike) -> float:
    """Compute the exact two-sided p of a sum of independent units whose signs are fair coins under the null.

    Units of one size (single questions): McNemar's exact test. Otherwise the distribution of the sum comes
    from its characteristic function, the product of cosines, by one Fourier transform: every sign pattern
    counts, none is sampled. Clusters enter as whole units, so answers within one may depend on each other.
    """
    values = np.asarray(units, np.int64)
    sizes = np.abs(values[values != 0])
    if not sizes.size:
        return 1.0
    unit = int(np.gcd.reduce(sizes))
    distinct, counts = np.unique(sizes // unit, return_counts=True)
    if len(distinct) == 1:
        return float(mcnemar((values > 0).sum(), (values < 0).sum()))
    reach, observed = int(distinct @ counts), abs(int(values.sum())) // unit
    length = next_fast_len(2 * reach + 1, real=True)
    frequencies = np.arange(length // 2 + 1) * (2 * np.pi / length)
    characteristic, alive = np.ones(len(frequencies)), np.arange(len(frequencies))
    for k in np.argsort(-counts):  # the many first: they leave few frequencies to go on with
        characteristic[alive] *= np.cos(distinct[k] * frequencies[alive]) ** counts[k]
        vanished = np.abs(characteristic[alive]) < NEGLIGIBLE
        characteristic[alive[vanished]] = 0.0
        alive = alive[~vanished]
    chances = irfft(characteristic, length)
    if observed == 0:
        return 1.0
    tail = 2 * float(chances[observed : reach + 1].sum())
    return min(max(tail, SMALLEST_P), 1.0)


def non_inferiority(benchmarks: Sequence[Changes], margin: float) -> float:
    """Compute the one-sided p of "the mean over benchmarks fell by `margin` or more"; small: it did not.

    Score test for a paired difference of shares (Tango 1998, Stat. Med. 17:891): the variance is estimated
    under the hypothesis that it tests, so that few or no flips on few questions prove nothing. With several
    benchmarks each one's loss under the hypothesis is its observed loss shifted by the same amount; the
    variances add. A design effect above 1 widens a clustered benchmark's variance.
    """
    mean = float(np.mean([b.difference for b in benchmarks]))
    excess = mean + margin
    variance = 0.0
    for b in benchmarks:
        loss = min(max(excess - b.difference, -MAX_LOSS), MAX_LOSS)
        gain = _estimate_gain(b, loss)
        variance += (2 * gain + loss - loss**2) * b.design_effect / b.n / len(benchmarks) ** 2
    return float(norm.sf(excess / math.sqrt(variance))) if variance > 0 else float(excess <= 0)


def largest_loss(benchmarks: Sequence[Changes], confidence: float = 0.95) -> float:
    """Find the loss's upper one-sided limit: the smallest margin that `non_inferiority` would find kept."""
    start = -float(np.mean([b.difference for b in benchmarks]))

    def above(margin: float) -> float:
        return non_inferiority(benchmarks, margin) - (1 - confidence)

    return (
        1.0 if start >= MAX_LOSS or above(MAX_LOSS) > 0 else float(brentq(above, start, MAX_LOSS, xtol=1e-9))
    )


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p by Holm's step-down procedure; NaN entries are no tests: they stay NaN and do not count."""
    # statsmodels' multipletests gives the same, but collects garbage at every call: a tenth of a second.
    p = np.asarray(p_values, float)
    adjusted, tested = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    raw = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raw), 1.0)
    return adjusted


def _estimate_gain(b: Changes, loss: float) -> float:
    """Find the likeliest share of gains if that of losses exceeds it by `loss`: a quadratic's root."""
    slope = (2 * b.n + b.gained - b.lost) * loss - b.gained - b.lost
    constant = -b.gained * loss * (1 - loss)
    root = math.sqrt(max(slope**2 - 8 * b.n * constant, 0.0))
    return max((root - slope) / (4 * b.n), 0.0, -loss)
