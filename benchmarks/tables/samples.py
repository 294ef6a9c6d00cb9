"""Say what several samples per question show: avg@k, pass@k, majority@k, variance within and between."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.statistics.intervals import Floats, Interval, cluster_intervals, mean_interval, score_interval
from benchmarks.statistics.samples import majority_at_k, pass_at_k, split_variance
from benchmarks.study.compared import Compared
from benchmarks.tables.cells import Table, list_names, make_columns, make_estimate
from benchmarks.tables.score_matrix import ScoreMatrix, encode_clusters

RIGHT = 0.5  # points from which a sample counts as right for pass@k
COLUMNS = (
    *make_columns("name", "over", "name", "variant"),
    *make_columns("count", "n", "samples"),
    *make_estimate("score", "low", "high"),
    *make_columns("four_digits", "variance_within", "variance_between"),
    *make_columns("count", "k"),
    *make_estimate("pass_at_k"),
    *make_estimate("majority_at_k"),
)


@dataclass(frozen=True)
class _Drawn:
    """One variant's samples of one benchmark.

    `estimates` are the means of pass@k, then majority@k, (2 samples,), with their `limits`.
    """

    n: int
    samples: int
    score: float
    interval: Interval
    variance: tuple[float, float]
    estimates: Floats
    limits: list[Interval]


def build_sample_rows(study: Compared, *kinds: tuple[ScoreMatrix, pd.DataFrame]) -> pd.DataFrame:
    """Estimate per group, then per benchmark, every variant and every k: a row each.

    Args:
        kinds: of questions with pictures, and in words: their scores; the long frame with a row per answer
            that these were made from, with `sample` and `vote`.
    """
    groups: list[dict[str, Any]] = []
    singles: list[dict[str, Any]] = []
    for answers, single in kinds:
        drawn = {
            (benchmark, str(variant)): _estimate(study, rows)
            for (benchmark, variant), rows in single.groupby(["benchmark", "variant"], sort=False)
        }
        for heading, benchmarks in answers.by_heading().items():
            for variant in study.variants:
                own = [drawn[b, variant] for b in benchmarks]
                names = {"over": "group", "name": heading, "variant": variant}
                groups += _list_rows(names, own)
        for benchmark in answers.correct:
            task = f"{benchmark} (text)" if answers.headings[benchmark] == "text" else benchmark
            for variant in study.variants:
                names = {"over": "benchmark", "name": task, "variant": variant}
                singles += _list_rows(names, [drawn[benchmark, variant]])
    return pd.DataFrame([*groups, *singles], columns=list_names(COLUMNS))


def show_samples(rows: pd.DataFrame) -> list[Table]:
    """Prepare rows for Markdown: of the largest k alone, the groups, then the benchmarks."""
    last = rows[rows["k"] == rows["samples"]]
    shown = [c for c in COLUMNS if c.name not in ("over", "k")]
    return [Table(last[last["over"] == over], shown) for over in ("group", "benchmark")]


def _estimate(study: Compared, rows: pd.DataFrame) -> _Drawn:
    """Estimate from a variant's samples of one benchmark."""
    scores = rows.pivot(index="index", columns="sample", values="correct").astype(float)
    votes = rows.pivot(index="index", columns="sample", values="vote")
    clusters = encode_clusters(rows, scores.index)
    codes: NDArray[np.int64] = np.arange(len(scores)) if clusters is None else clusters
    values, samples = scores.to_numpy(), scores.shape[1]
    said = [[None if pd.isna(vote) else vote for vote in row] for row in votes.to_numpy(object)]
    each = np.hstack([pass_at_k((values >= RIGHT).sum(axis=1), samples), majority_at_k(said, values)])
    how: dict[str, Any] = {
        "confidence": study.statistics.confidence,
        "resamples": study.statistics.resamples,
        "seed": study.seed,
    }
    means = values.mean(axis=1)
    return _Drawn(
        n=len(values),
        samples=samples,
        score=float(means.mean()),
        interval=score_interval(means, codes, **how),
        variance=split_variance(values),
        estimates=each.mean(axis=0),
        limits=cluster_intervals(each, codes, **how),
    )


def _list_rows(names: dict[str, str], drawn: list[_Drawn]) -> Iterator[dict[str, Any]]:
    """Yield a row per k for some benchmarks together, each weighing the same."""
    score, (low, high) = mean_interval([d.score for d in drawn], [d.interval for d in drawn])
    samples = drawn[0].samples
    same = {
        **names,
        "n": sum(d.n for d in drawn),
        "samples": samples,
        "score": score,
        "low": low,
        "high": high,
        "variance_within": float(np.mean([d.variance[0] for d in drawn])),
        "variance_between": float(np.mean([d.variance[1] for d in drawn])),
    }
    for place in range(samples):
        row = {**same, "k": place + 1}
        for name, column in (("pass_at_k", place), ("majority_at_k", samples + place)):
            mean, ends = mean_interval(
                [d.estimates[column] for d in drawn], [d.limits[column] for d in drawn]
            )
            row |= {name: mean, f"{name}_low": ends[0], f"{name}_high": ends[1]}
        yield row
