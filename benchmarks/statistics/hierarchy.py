"""Estimate an effect over triples whose bases are the units: bases, triples of a base, questions.

Triples of one base are near-copies (two reasoning models of one base have task vectors of cosine .94), so
the number of bases, not that of triples, says how much is known. All triples may have answered the same
questions: what the choice of questions shifts alike in all of them does not average out, either.

The interval is Student's t over the bases' means. The questions' shared variance is added by square-and-add
(MOVER, as `intervals.mean_interval`): the half-width is the root of the summed squares of t times the bases'
standard error and of z times that of the questions. With three bases it is wide, and it covers (a little
more than it says where both errors are alike). Satterthwaite's degrees of freedom for their sum cover less:
92 % at three bases. The percentile bootstrap over bases, triples and questions (`resample_hierarchy`) covers
far less: three bases drawn from three give too few, too narrow samples. It is there for the shares of the
variance, and to be looked at (tests/benchmarks/statistics/test_hierarchy.py measures both intervals).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from benchmarks.statistics.intervals import Floats, Interval, percentiles

UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class TripleEffect:
    """Holds an effect measured on one triple.

    Attributes:
        base: of the triple: triples of one base depend on each other.
        draws: the effect on resampled questions, (resamples,); draw r holds the same questions in all triples
            that answered the same ones. n: how many questions there are.
    """

    base: str
    triple: str
    estimate: float
    draws: Floats
    n: int

    @property
    def variance(self) -> float:
        """Estimate the variance over questions; at least that of half a question, where none flipped."""
        return max(float(self.draws.var(ddof=1)), 0.25 / self.n**2)

    def interval(self, confidence: float) -> Interval:
        """Compute the percentile interval over questions."""
        return percentiles(self.draws, confidence)


@dataclass(frozen=True)
class Overall:
    """Holds an effect over triples: the mean over bases of the means of their triples.

    Attributes:
        interval: over triples (bases) and questions; nan for one base.
        on_questions: over questions alone: what other questions to these very models would give.
        bootstrap: percentile interval of the hierarchical bootstrap; too narrow for few bases.
        shares: of the bootstrap's variance that bases, triples and questions bring, in this order.
    """

    estimate: float
    interval: Interval
    on_questions: Interval
    bootstrap: Interval
    shares: tuple[float, float, float]
    bases: int
    triples: int


def average_bases(effects: Sequence[TripleEffect]) -> dict[str, float]:
    """Average the effects of each base's triples, bases in order of appearance."""
    groups: dict[str, list[float]] = {}
    for effect in effects:
        groups.setdefault(effect.base, []).append(effect.estimate)
    return {base: float(np.mean(values)) for base, values in groups.items()}


def estimate_over_triples(
    effects: Sequence[TripleEffect], confidence: float = 0.95, *, rng: np.random.Generator | None = None
) -> Overall:
    """Estimate the effect over triples like these; every base weighs the same. `rng`: of the bootstrap.

    Raises ValueError for no effects, or draws of different numbers.
    """
    if not effects or len({len(effect.draws) for effect in effects}) != 1:
        raise ValueError("effects of one and the same number of draws are needed, and at least one of them")
    means = np.array(list(average_bases(effects).values()))
    k, estimate = len(means), float(means.mean())
    weights = weigh_triples(effects)
    drawn = np.stack([effect.draws for effect in effects])  # (triples, resamples)
    on_questions = percentiles(weights @ drawn, confidence)
    interval = UNKNOWN
    if k > 1:
        level, between = (1 + confidence) / 2, float(means.var(ddof=1)) / k
        shared = estimate_shared_variance(effects)
        reach = math.sqrt(student.ppf(level, k - 1) ** 2 * between + norm.ppf(level) ** 2 * shared)
        interval = (estimate - reach, estimate + reach)
    generator = rng or np.random.default_rng(0)
    whole = resample_hierarchy(effects, generator)
    return Overall(
        estimate, interval, on_questions, percentiles(whole, confidence),
        _share_variance(effects, generator), k, len(effects),
    )  # fmt: skip


def weigh_triples(effects: Sequence[TripleEffect]) -> Floats:
    """Return each triple's weight in the mean, (triples,): bases weigh the same, and triples within one."""
    counts: dict[str, int] = {}
    for effect in effects:
        counts[effect.base] = counts.get(effect.base, 0) + 1
    return np.array([1 / (len(counts) * counts[effect.base]) for effect in effects])


def estimate_shared_variance(effects: Sequence[TripleEffect]) -> float:
    """Estimate the variance that the questions give the mean of bases beyond what shows between bases.

    It is the mean covariance of two bases' effects over resampled questions, not below 0. What questions do
    to one base alone is part of the spread between bases already.
    """
    names = list(average_bases(effects))
    weights = weigh_triples(effects) * len(names)
    by_base = np.stack(
        [sum(w * e.draws for w, e in zip(weights, effects, strict=True) if e.base == name) for name in names]
    )
    k = len(names)
    if k < 2:
        return 0.0
    covariance = np.cov(by_base)
    return max(float((covariance.sum() - np.trace(covariance)) / (k * (k - 1))), 0.0)


def resample_hierarchy(
    effects: Sequence[TripleEffect],
    rng: np.random.Generator,
    *,
    bases: bool = True,
    triples: bool = True,
    questions: bool = True,
) -> Floats:
    """Resample the mean over bases: bases, then triples of each, then questions, as far as asked for.

    Returns (resamples,): as many as the effects have draws. Resample r takes draw r of the questions in all
    triples, so that questions stay paired across them.
    """
    groups: dict[str, list[int]] = {}
    for place, effect in enumerate(effects):
        groups.setdefault(effect.base, []).append(place)
    members, resamples = list(groups.values()), len(effects[0].draws)
    values = np.stack(
        [e.draws if questions else np.full(resamples, e.estimate) for e in effects]
    )  # (triples, resamples)
    k, rows = len(members), np.arange(resamples)
    chosen: NDArray[np.int64] = (
        rng.integers(k, size=(resamples, k)) if bases else np.tile(np.arange(k), (resamples, 1))
    )
    total = np.zeros(resamples)
    for slot in range(k):
        for base, own in enumerate(members):
            taken = rows[chosen[:, slot] == base]
            if not len(taken):
                continue
            places = np.array(own)
            picks = (
                places[rng.integers(len(own), size=(len(taken), len(own)))]
                if triples
                else np.tile(places, (len(taken), 1))
            )
            total[taken] += values[picks, taken[:, None]].mean(axis=1)
    return total / k


def _share_variance(effects: Sequence[TripleEffect], rng: np.random.Generator) -> tuple[float, float, float]:
    """Say which share of the variance bases, triples and questions bring, each resampled alone."""
    alone = [
        float(resample_hierarchy(effects, rng, bases=b, triples=t, questions=q).var())
        for b, t, q in ((True, False, False), (False, True, False), (False, False, True))
    ]
    whole = sum(alone)
    return (alone[0] / whole, alone[1] / whole, alone[2] / whole) if whole > 0 else (0.0, 0.0, 0.0)
