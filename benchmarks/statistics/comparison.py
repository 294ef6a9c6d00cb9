"""Compare two variants on the same questions: scores, paired difference, exact test, detectable difference.

A score is one question's value in [0, 1]. A stratum is one benchmark: the questions that two variants
both answered. A group's score is the plain mean of its strata's means, so that a benchmark with many
questions weighs no more than one with few. Questions of one cluster (versions of one problem, a pair on
one picture) may depend on each other; clusters are drawn whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.statistics.intervals import (
    Floats,
    Interval,
    design_effect,
    make_generator,
    mean_interval,
    newcombe,
    percentiles,
    resample_means,
    score_interval,
)
from benchmarks.statistics.paired_tests import Changes, flip_units, sign_flip

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Stratum:
    """One benchmark's paired scores: `variant`, `reference` (n,); `clusters` (n,) as numbers, or None.

    `samples`: how many answers each score is the mean of.
    """

    variant: Floats
    reference: Floats
    clusters: Codes | None = None
    samples: int = 1

    def __post_init__(self) -> None:
        if self.variant.shape != self.reference.shape or self.variant.ndim != 1 or not self.variant.size:
            raise ValueError(f"paired scores of shapes {self.variant.shape} and {self.reference.shape}")

    @property
    def changes(self) -> Floats:
        """Subtract the reference from the variant, question by question: (n,)."""
        return self.variant - self.reference

    def summed(self) -> Changes:
        """Sum gains and losses, with their design effect, as `paired_tests.non_inferiority` takes them."""
        rises, falls = np.maximum(self.changes, 0).sum(), np.maximum(-self.changes, 0).sum()
        effect = design_effect(self.changes, self.clusters)
        return Changes(float(rises), float(falls), len(self.changes), effect)


@dataclass(frozen=True)
class Comparison:
    """A variant against a reference on the same questions; shares in [0, 1], p two-sided, before Holm.

    `gained`/`lost`: questions whose score rose/fell. `retention`: score / reference score.
    `detectable`: smallest true difference that about 80 of 100 such studies would find.
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


def detectable_difference(
    n: float, discordance: float, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Compute the smallest true paired difference that McNemar's test on `n` pairs finds with `power`.

    Two-sided, normal approximation (Connor 1987): d sqrt(n) = z_a sqrt(psi) + z_b sqrt(psi - d^2) solved for
    d, psi = `discordance` (mean squared paired difference). As d cannot exceed psi, few flips leave a floor.
    Under clusters n is the effective number, questions over design effect.
    """
    z_a, z_b = norm.ppf((1 + confidence) / 2), norm.ppf(power)
    root = math.sqrt(max(z_a**2 * n - (n + z_b**2) * (z_a**2 - z_b**2), 0.0))
    slope = (z_a * math.sqrt(n) + root) / (n + z_b**2)
    return min(max(slope * math.sqrt(discordance), slope**2), 1.0)


def effective_size(strata: Sequence[Stratum]) -> tuple[float, float]:
    """Compute how many questions a group of benchmarks is worth, and a question's mean squared change.

    Equal, independent benchmarks are worth all their questions; unequal or clustered ones fewer.
    """
    squares = np.array([float((s.changes**2).mean()) for s in strata])
    spread = np.array([design_effect(s.changes, s.clusters) / len(s.changes) for s in strata])
    discordance = float(squares.mean())
    kinds = squares / discordance if discordance > 0 else np.ones(len(strata))
    return len(strata) ** 2 / float((kinds * spread).sum()), discordance


def compare_pairs(
    strata: Sequence[Stratum],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    key: str = "",
) -> Comparison:
    """Compare two variants over one benchmark or a group of them.

    Score: the mean over benchmarks of `score_interval`. Difference: for one benchmark of unclustered 0/1
    scores Newcombe's interval, otherwise the percentile interval of a paired bootstrap within each
    benchmark, of whole clusters where there are any. p: exact McNemar on the flips of all benchmarks
    together (the sign test, for fractional scores; of means over samples a sign-flip test of the changes),
    flipping whole clusters, each benchmark weighing the same: `paired_tests.sign_flip`. `key` names the
    comparison for the seed.
    """
    first = strata[0]
    changes = np.concatenate([s.changes for s in strata])
    limits = [
        score_interval(s.variant, s.clusters, confidence=confidence, resamples=resamples, seed=seed)
        for s in strata
    ]
    score, interval = mean_interval([s.variant.mean() for s in strata], limits)
    reference = float(np.mean([s.reference.mean() for s in strata]))
    means = np.mean(
        [
            resample_means(
                np.column_stack([s.variant, s.reference]),
                resamples=resamples,
                rng=make_generator(seed, key, str(i)),
                clusters=s.clusters,
            )
            for i, s in enumerate(strata)
        ],
        axis=0,
    )
    binary = bool(np.isin(np.concatenate([first.variant, first.reference]), (0, 1)).all())
    differences = means[:, 0] - means[:, 1]
    if len(strata) == 1 and binary and (first.clusters is None or not changes.any()):
        # Clusters without a flip: the bootstrap would have no width; each cluster counts once.
        worth = 1.0 if first.clusters is None else len(np.unique(first.clusters)) / len(changes)
        difference_interval = newcombe(first.variant, first.reference, confidence, worth)
    else:
        difference_interval = percentiles(differences, confidence)
    retentions = means[:, 0] / np.where(means[:, 1] > 0, means[:, 1], np.nan)
    size, discordance = effective_size(strata)
    return Comparison(
        n=len(changes),
        score=score,
        score_interval=interval,
        reference=reference,
        difference=score - reference,
        difference_interval=difference_interval,
        p=sign_flip(flip_units([s.changes for s in strata], [s.clusters for s in strata], first.samples)),
        gained=int((changes > 0).sum()),
        lost=int((changes < 0).sum()),
        retention=score / reference if reference > 0 else math.nan,
        retention_interval=(math.nan, math.nan)
        if np.isnan(retentions).any()
        else percentiles(retentions, confidence),
        detectable=detectable_difference(size, discordance, confidence),
    )
