"""Tabulate how far merges move the residual stream from V's, by layer and kind of token."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.analysis_tables.answers import DRIFT
from benchmarks.statistics.intervals import make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from frism.errors import UserError

REQUIRED = ["variant", "axis", "benchmark", "index", "cluster", "layer", "tokens", "cosine", "relative"]
MEASURES = ("cosine", "relative")
COLUMNS = (
    *make_columns("name", "entry", "variant", "axis", "tokens"),
    *make_columns("count", "layer", "n"),
    *make_estimate("cosine"),
    *make_estimate("relative"),
)


def read_drift(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read what was traced of all entries: a row per question, layer and kind of token.

    Raises UserError for a file that is missing or broken.
    """
    parts = []
    for entry, settings in study.analyses.items():
        if (settings.analysis or entry) != DRIFT:
            continue
        for variant in settings.variants or study.variants:
            path = results / "analyses" / entry / f"{variant}.csv"
            if not (path.is_file() or settings.variants):
                continue
            try:
                table = pd.read_csv(path, dtype={"index": str, "cluster": str}, keep_default_na=False)
                parts.append(table[REQUIRED].assign(entry=entry))
            except (OSError, ValueError, KeyError) as error:
                raise UserError(f"{path} holds no traces ({error}): run snakemake again.") from None
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["entry", *REQUIRED])


def build_drift_rows(study: StudyConfig, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis, kind of token and layer; intervals bootstrap whole questions.

    A question's value is the mean over its tokens; each benchmark weighs the same.
    """
    keys = ["entry", "variant", "axis", "tokens", "layer"]
    rows = [
        _make_row(study, dict(zip(keys, names, strict=True)), own)
        for names, own in traced.groupby(keys, sort=False)
    ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _make_row(study: StudyConfig, names: dict[str, Any], own: pd.DataFrame) -> dict[str, Any]:
    observed, drawn = [], []
    for name, rows in own.groupby("benchmark", sort=False):
        values = rows[list(MEASURES)].to_numpy(float)
        clusters = rows["cluster"].to_numpy(str) if rows["cluster"].any() else None
        rng = make_generator(study.seed, DRIFT, str(name))  # the same questions in every layer and variant
        observed.append(values.mean(0))
        drawn.append(resample_means(values, resamples=study.statistics.resamples, rng=rng, clusters=clusters))
    means, draws = np.mean(observed, axis=0), np.mean(drawn, axis=0)
    row = names | {"n": len(own)}
    for number, measure in enumerate(MEASURES):
        low, high = percentiles(draws[:, number], study.statistics.confidence)
        row |= {measure: means[number], f"{measure}_low": low, f"{measure}_high": high}
    return row
