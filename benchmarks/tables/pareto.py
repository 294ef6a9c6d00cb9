"""The trade-off in numbers: Pareto front over (perception, reasoning), hypervolume, the perception budget.

One bootstrap draws the same questions for all variants, so that what it says of several variants together
(who is on the front, how large the front's area is) keeps the pairing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.statistics.intervals import Floats, generator, percentiles
from benchmarks.statistics.paired_tests import holm, largest_loss, non_inferiority
from benchmarks.study.config import StudyConfig
from benchmarks.tables.score_matrix import ScoreMatrix

AXES = ("perception", "reasoning")
WHOLE = "all variants"
BLOCK = 250  # resamples at once: bounds the memory for benchmarks of many thousand questions
COLUMNS = ["variant", "perception", "perception_low", "perception_high", "reasoning", "reasoning_low",
           "reasoning_high", "perception_sd", "reasoning_sd", "correlation", "front", "front_share",
           "hypervolume", "hypervolume_low", "hypervolume_high", "loss", "loss_limit", "margin", "p",
           "p_holm", "kept"]  # fmt: skip


def joint_means(
    answers: ScoreMatrix, variants: Sequence[str], benchmarks: Sequence[str], *, resamples: int, seed: int
) -> Floats:
    """Bootstrap means over benchmarks of all variants on the same drawn questions: (resamples, variants).

    Questions are drawn within each benchmark, whole clusters where there are any.
    """
    total = np.zeros((resamples, len(variants)))
    for benchmark in benchmarks:
        scores = answers.correct[benchmark][list(variants)].to_numpy()
        codes = answers.clusters[benchmark]
        rows = np.column_stack([scores, np.ones(len(scores))])
        if codes is not None:
            units = np.zeros((codes.max() + 1, rows.shape[1]))
            np.add.at(units, codes, rows)
            rows = units
        rng = generator(seed, "joint", benchmark)
        for start in range(0, resamples, BLOCK):
            size = min(BLOCK, resamples - start)
            draws = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=size)
            sums = np.einsum("rk,kj->rj", draws, rows)  # not BLAS, whose sums depend on its threads
            total[start : start + size] += sums[:, :-1] / sums[:, -1:]
    return total / len(benchmarks)


def on_front(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points (..., V) no other point dominates: none is as good on both axes and better on one."""
    result = np.empty(x.shape, bool)
    for j in range(x.shape[-1]):
        a, b = x[..., [j]], y[..., [j]]
        result[..., j] = ~((x >= a) & (y >= b) & ((x > a) | (y > b))).any(axis=-1)
    return result


def hypervolume(x: Floats, y: Floats) -> Floats:
    """Area that points (..., V) in [0, 1] squared dominate, from the origin (no ability at all): (...)."""
    order = np.argsort(-x, axis=-1, kind="stable")
    right = np.take_along_axis(x, order, -1)
    height = np.maximum.accumulate(np.take_along_axis(y, order, -1), axis=-1)
    left = np.concatenate([right[..., 1:], np.zeros_like(right[..., :1])], axis=-1)
    return np.asarray(((right - left) * height).sum(axis=-1))


def pareto_rows(study: StudyConfig, answers: ScoreMatrix) -> pd.DataFrame:
    """One row per variant, and one for all together; empty unless both axes have benchmarks.

    `front`: not dominated; `front_share`: share of resamples in which it is not. `hypervolume`: of the whole
    front in the last row, else what the front would lose without that variant. `loss`: perception lost
    against the reference, `loss_limit`: its upper one-sided limit; `p`: non-inferiority at the margin.
    """
    found = answers.by_heading()
    if not set(AXES) <= set(found):
        return pd.DataFrame(columns=COLUMNS)
    variants, level = list(study.variants), study.statistics.confidence
    drawn = [
        joint_means(answers, variants, found[a], resamples=study.statistics.resamples, seed=study.seed)
        for a in AXES
    ]
    means = {a: [answers.mean(study, v, found[a]) for v in variants] for a in AXES}
    points = [np.array([mean for mean, _ in means[a]]) for a in AXES]
    front, shares = on_front(*points), on_front(*drawn).mean(axis=0)
    whole, whole_drawn = hypervolume(*points), hypervolume(*drawn)
    rows: list[dict[str, Any]] = []
    for k, variant in enumerate(variants):
        row: dict[str, Any] = {"variant": variant, "front": bool(front[k]), "front_share": shares[k]}
        for axis in AXES:
            mean, (low, high) = means[axis][k]
            row |= {axis: mean, f"{axis}_low": low, f"{axis}_high": high}
        spread = [_deviation(d[:, k], *means[a][k][1], level) for d, a in zip(drawn, AXES, strict=True)]
        row |= {"perception_sd": spread[0], "reasoning_sd": spread[1]}
        row["correlation"] = _correlation(drawn[0][:, k], drawn[1][:, k])
        others = [np.delete(c, k, axis=-1) for c in (*points, *drawn)]
        row |= _volume(float(whole - hypervolume(*others[:2])), whole_drawn - hypervolume(*others[2:]), level)
        if variant != study.reference:
            row |= _budget(study, answers, variant, found["perception"])
        rows.append(row)
    adjusted = holm([row.get("p", np.nan) for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row |= {"p_holm": p, "kept": "" if np.isnan(p) else bool(p < 1 - level)}
    rows.append({"variant": WHOLE, "front": "", "kept": ""} | _volume(float(whole), whole_drawn, level))
    return pd.DataFrame(rows, columns=COLUMNS)


def _budget(
    study: StudyConfig, answers: ScoreMatrix, variant: str, benchmarks: list[str]
) -> dict[str, float]:
    changes = [s.summed() for s in answers.strata(variant, study.reference, benchmarks)]
    return {
        "loss": -float(np.mean([c.difference for c in changes])),
        "loss_limit": largest_loss(changes, study.statistics.confidence),
        "margin": study.selection.tolerated,
        "p": non_inferiority(changes, study.selection.tolerated),
    }


def _volume(value: float, drawn: Floats, level: float) -> dict[str, float]:
    low, high = percentiles(drawn, level)
    return {"hypervolume": value, "hypervolume_low": low, "hypervolume_high": high}


def _deviation(drawn: Floats, low: float, high: float, level: float) -> float:
    """Bootstrap standard deviation; where no resample differs (all right or all wrong), the interval's."""
    spread = float(drawn.std())
    return spread if spread > 0 else (high - low) / (2 * float(norm.ppf((1 + level) / 2)))


def _correlation(x: Floats, y: Floats) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0
