"""Measure the trade-off: Pareto front over (perception, reasoning), hypervolume, the perception budget.

One bootstrap draws the same questions for all variants, so that what it says of several variants together
(who is on the front, how large the front's area is) keeps the pairing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks.statistics.fronts import find_front
from benchmarks.statistics.intervals import Floats, make_generator, percentiles
from benchmarks.statistics.paired_tests import holm, largest_loss, non_inferiority
from benchmarks.study.compared import Compared
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tables.score_matrix import ScoreMatrix

AXES = ("perception", "reasoning")
ALL_VARIANTS = "all variants"
RESAMPLES_AT_ONCE = 250  # resamples at once: bounds the memory for benchmarks of many thousand questions
COLUMNS = (
    *make_columns("name", "variant"),
    *make_estimate("perception"),
    *make_estimate("reasoning"),
    *make_columns("share", "perception_sd", "reasoning_sd", "correlation"),
    *make_columns("mark", "front"),
    *make_columns("share", "front_share"),
    *make_estimate("hypervolume"),
    *make_columns("share", "loss", "loss_limit", "margin"),
    *make_columns("p", "p", "p_holm"),
    *make_columns("mark", "kept"),
)


def resample_joint_means(
    answers: ScoreMatrix, variants: Sequence[str], benchmarks: Sequence[str], *, resamples: int, seed: int
) -> Floats:
    """Resample the mean over benchmarks of all variants on the same drawn questions: (resamples, variants).

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
        rng = make_generator(seed, "joint", benchmark)
        for start in range(0, resamples, RESAMPLES_AT_ONCE):
            size = min(RESAMPLES_AT_ONCE, resamples - start)
            draws = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=size)
            sums = np.einsum("rk,kj->rj", draws, rows)  # not BLAS, whose sums depend on its threads
            total[start : start + size] += sums[:, :-1] / sums[:, -1:]
    return total / len(benchmarks)


def compute_hypervolume(x: Floats, y: Floats) -> Floats:
    """Compute the area (...) that points (..., V) in [0, 1] squared dominate, seen from the origin."""
    order = np.argsort(-x, axis=-1, kind="stable")
    right = np.take_along_axis(x, order, -1)
    height = np.maximum.accumulate(np.take_along_axis(y, order, -1), axis=-1)
    left = np.concatenate([right[..., 1:], np.zeros_like(right[..., :1])], axis=-1)
    return np.asarray(((right - left) * height).sum(axis=-1))


def build_pareto_rows(study: Compared, answers: ScoreMatrix) -> pd.DataFrame:
    """Measure the trade-off of every variant and of all together; empty unless both axes have benchmarks.

    `front`: not dominated; `front_share`: share of resamples in which it is not. `hypervolume`: of the whole
    front in the last row, else what the front would lose without that variant. `loss`: perception lost
    against the reference, `loss_limit`: its upper one-sided limit; `p`: non-inferiority at the margin.
    """
    by_axis = answers.by_heading()
    if not set(AXES) <= set(by_axis):
        return pd.DataFrame(columns=list_names(COLUMNS))
    variants, level = list(study.variants), study.statistics.confidence
    resampled = [
        resample_joint_means(
            answers, variants, by_axis[a], resamples=study.statistics.resamples, seed=study.seed
        )
        for a in AXES
    ]
    means = {a: [answers.mean(study, v, by_axis[a]) for v in variants] for a in AXES}
    points = [np.array([mean for mean, _ in means[a]]) for a in AXES]
    front, shares = find_front(*points), find_front(*resampled).mean(axis=0)
    whole, resampled_whole = compute_hypervolume(*points), compute_hypervolume(*resampled)
    rows: list[dict[str, Any]] = []
    for k, variant in enumerate(variants):
        row: dict[str, Any] = {"variant": variant, "front": bool(front[k]), "front_share": shares[k]}
        for axis in AXES:
            mean, (low, high) = means[axis][k]
            row |= {axis: mean, f"{axis}_low": low, f"{axis}_high": high}
        draws = [r[:, k] for r in resampled]
        spread = [_estimate_deviation(d, *means[a][k][1], level) for d, a in zip(draws, AXES, strict=True)]
        row |= {"perception_sd": spread[0], "reasoning_sd": spread[1], "correlation": _correlate(*draws)}
        without = [np.delete(c, k, axis=-1) for c in (*points, *resampled)]
        lost, resampled_lost = (
            whole - compute_hypervolume(*without[:2]),
            resampled_whole - compute_hypervolume(*without[2:]),
        )
        row |= _compute_volume(float(lost), resampled_lost, level)
        if variant != study.reference:
            row |= _test_budget(study, answers, variant, by_axis["perception"])
        rows.append(row)
    adjusted = holm([row.get("p", np.nan) for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row |= {"p_holm": p, "kept": "" if np.isnan(p) else bool(p < 1 - level)}
    rows.append(
        {"variant": ALL_VARIANTS, "front": "", "kept": ""}
        | _compute_volume(float(whole), resampled_whole, level)
    )
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _test_budget(
    study: Compared, answers: ScoreMatrix, variant: str, benchmarks: list[str]
) -> dict[str, float]:
    changes = [s.summed() for s in answers.strata(variant, study.reference, benchmarks)]
    return {
        "loss": -float(np.mean([c.difference for c in changes])),
        "loss_limit": largest_loss(changes, study.statistics.confidence),
        "margin": study.selection.tolerated,
        "p": non_inferiority(changes, study.selection.tolerated),
    }


def _compute_volume(value: float, resampled: Floats, level: float) -> dict[str, float]:
    low, high = percentiles(resampled, level)
    return {"hypervolume": value, "hypervolume_low": low, "hypervolume_high": high}


def _estimate_deviation(resampled: Floats, low: float, high: float, level: float) -> float:
    """Compute the resamples' standard deviation; where all are alike (all right or wrong), the interval's."""
    spread = float(resampled.std())
    return spread if spread > 0 else (high - low) / (2 * float(norm.ppf((1 + level) / 2)))


def _correlate(x: Floats, y: Floats) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0
