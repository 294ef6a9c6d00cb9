"""Estimate means over questions, each benchmark weighing the same, with a bootstrap of whole questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.statistics.intervals import Floats, make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig


def resample(study: StudyConfig, rows: pd.DataFrame, columns: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the means of columns (k,), and resampled (resamples, k).

    The same draws for whatever is measured on the same questions.

    Args:
        rows: one a question, with `benchmark` and `cluster` ("": it depends on no other).
    """
    observed, drawn = [], []
    for name, own in rows.groupby("benchmark", sort=False):
        values = own[list(columns)].to_numpy(float)
        clusters = own["cluster"].to_numpy(str) if own["cluster"].any() else None
        rng = make_generator(study.seed, "traces", str(name))  # the same draws in every layer and variant
        observed.append(values.mean(0))
        drawn.append(resample_means(values, resamples=study.statistics.resamples, rng=rng, clusters=clusters))
    return np.mean(observed, axis=0), np.mean(drawn, axis=0)


def estimate(study: StudyConfig, rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Estimate the means of columns, with the ends of their intervals; nothing of no rows."""
    if rows.empty:
        return {}
    means, draws = resample(study, rows, columns)
    found: dict[str, Any] = {}
    for number, name in enumerate(columns):
        low, high = percentiles(draws[:, number], study.statistics.confidence)
        found |= {name: means[number], f"{name}_low": low, f"{name}_high": high}
    return found
