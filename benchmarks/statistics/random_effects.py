"""Pool effects of several triples by a random-effects model: tau^2, Q, I^2, Hartung and Knapp's interval.

statsmodels' `combine_effects` computes it (Paule and Mandel's estimator of tau^2). Effects are taken as
independent of each other, so give it bases' means, or triples of different bases; their variances are those
over questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student
from statsmodels.stats.meta_analysis import combine_effects

from benchmarks.statistics.hierarchy import UNKNOWN, TripleEffect, average_bases
from benchmarks.statistics.intervals import Floats, Interval


@dataclass(frozen=True)
class RandomEffects:
    """Holds a random-effects model.

    Attributes:
        interval: Hartung and Knapp's, t with k - 1 degrees of freedom; nan for one effect.
        prediction: where the effect of one further triple is expected (t with k - 2); nan for fewer than 3.
        tau2: variance between triples, not below 0. q, p: Cochran's test that all effects are one. i2: the
            share of the spread that is no noise of questions.
    """

    estimate: float
    interval: Interval
    prediction: Interval
    tau2: float
    q: float
    p: float
    i2: float
    k: int


def pool_effects(
    estimates: Sequence[float], variances: Sequence[float], confidence: float = 0.95
) -> RandomEffects:
    """Pool independent effects with the variances of their estimates.

    Raises ValueError for no effects, or a variance that is not above 0.
    """
    y, v = np.asarray(estimates, float), np.asarray(variances, float)
    if not y.size or y.shape != v.shape or not (v > 0).all():
        raise ValueError(f"{y.size} effects with {v.size} variances above 0 are needed")
    k = len(y)
    if k == 1:
        return RandomEffects(float(y[0]), UNKNOWN, UNKNOWN, math.nan, 0.0, math.nan, math.nan, 1)
    if np.ptp(y) == 0:  # statsmodels would divide by Q
        return RandomEffects(float(y[0]), (float(y[0]),) * 2, UNKNOWN, 0.0, 0.0, 1.0, 0.0, k)
    fit = combine_effects(y, v, method_re="iterated", use_t=True, maxiter=10_000)
    q, tau2 = float(fit.q), _polish(float(fit.tau2), y, v) if fit.q > k - 1 else 0.0
    level = (1 + confidence) / 2
    weights = 1 / (v + tau2)
    estimate = float(weights @ y / weights.sum())
    spread = float((weights * (y - estimate) ** 2).sum() / (k - 1) / weights.sum())
    reach = float(student.ppf(level, k - 1)) * math.sqrt(spread)
    prediction = UNKNOWN
    if k > 2:
        away = float(student.ppf(level, k - 2)) * math.sqrt(tau2 + spread)
        prediction = (estimate - away, estimate + away)
    return RandomEffects(
        estimate, (estimate - reach, estimate + reach), prediction, tau2, q, float(chi2.sf(q, k - 1)),
        max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0, k,
    )  # fmt: skip


def _polish(tau2: float, y: Floats, v: Floats) -> float:
    """Take Newton's last steps on Paule and Mandel's equation, sum of weighted squares = k - 1.

    statsmodels stops within 1e-5 of it, and closer would take a rounding below 0 for "no variance at all".
    """
    for _ in range(4):
        weights = 1 / (v + tau2)
        squares = (y - weights @ y / weights.sum()) ** 2
        tau2 = max(tau2 + float((weights @ squares - (len(y) - 1)) / (weights**2 @ squares)), 0.0)
    return tau2


def pool_triples(effects: Sequence[TripleEffect], confidence: float = 0.95) -> RandomEffects:
    """Pool triples as if they were independent: how much they differ, beyond the questions' noise."""
    return pool_effects([e.estimate for e in effects], [e.variance for e in effects], confidence)


def pool_bases(effects: Sequence[TripleEffect], confidence: float = 0.95) -> RandomEffects:
    """Pool the means of bases, which are independent, each with its variance over questions."""
    means = average_bases(effects)
    variances = []
    for base in means:
        drawn = np.mean([e.draws for e in effects if e.base == base], axis=0)
        own = [e for e in effects if e.base == base]
        variances.append(max(float(drawn.var(ddof=1)), 0.25 / sum(e.n for e in own) ** 2))
    return pool_effects(list(means.values()), variances, confidence)
