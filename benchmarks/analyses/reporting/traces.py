"""Tabulate what was measured inside models: means by layer and kind of token, with intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.analyses.reporting.answers import ATTENTION, DRIFT
from benchmarks.statistics.intervals import Floats, make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import Column, list_names, make_columns, make_estimate
from frism.errors import UserError

QUESTION = ["variant", "axis", "benchmark", "index", "cluster", "layer", "tokens"]
KEYS = ["entry", "variant", "axis", "tokens", "layer"]
MEASURES = {DRIFT: ("cosine", "relative"), ATTENTION: ("picture", "relative", "most")}


def list_columns(analysis: str) -> list[Column]:
    """List the columns of an analysis' table."""
    estimates = [column for measure in MEASURES[analysis] for column in make_estimate(measure)]
    named = [*make_columns("name", *KEYS[:-1]), *make_columns("count", "layer", "n")]
    return [*named, *estimates, *make_estimate("difference")]


def read_traces(results: Path, study: StudyConfig, analysis: str) -> pd.DataFrame:
    """Read what was traced of an analysis' entries: a row per question, layer and kind of token.

    Raises UserError for a file that is missing or broken.
    """
    columns, parts = [*QUESTION, *MEASURES[analysis]], []
    for entry, settings in study.analyses.items():
        if (settings.analysis or entry) != analysis:
            continue
        for variant in settings.variants or study.variants:
            path = results / "analyses" / entry / f"{variant}.csv"
            if not (path.is_file() or settings.variants):
                continue
            try:
                table = pd.read_csv(path, dtype={"index": str, "cluster": str}, keep_default_na=False)
                parts.append(table[columns].assign(entry=entry))
            except (OSError, ValueError, KeyError) as error:
                raise UserError(f"{path} holds no traces ({error}): run snakemake again.") from None
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["entry", *columns])


def build_trace_rows(study: StudyConfig, analysis: str, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis, kind of token and layer; intervals bootstrap whole questions.

    A question's value is the mean over its tokens; each benchmark weighs the same. `difference`: of the first
    measure, to V's on the same questions, where V was traced too, over
    the questions whose two answers both have such tokens.
    """
    measures = list(MEASURES[analysis])
    same = ["entry", "benchmark", "index", "layer", "tokens"]
    vlm = traced[traced["variant"] == study.reference][[*same, measures[0]]]
    paired = traced.merge(vlm, on=same, how="left", suffixes=("", "_vlm"))
    paired["difference"] = (paired[measures[0]] - paired[f"{measures[0]}_vlm"]).where(
        paired["variant"] != study.reference
    )
    rows = [
        _make_row(study, measures, dict(zip(KEYS, names, strict=True)), own)
        for names, own in paired.groupby(KEYS, sort=False)
    ]
    return pd.DataFrame(rows, columns=list_names(list_columns(analysis)))


def _make_row(
    study: StudyConfig, measures: list[str], names: dict[str, Any], own: pd.DataFrame
) -> dict[str, Any]:
    row = names | {"n": len(own)}
    compared = own.dropna(subset="difference")  # one of two answers may be too short for four quarters
    for rows, columns in ((own, measures), (compared, ["difference"])):
        if rows.empty:
            continue
        means, draws = _resample(study, rows, columns)
        for number, measure in enumerate(columns):
            low, high = percentiles(draws[:, number], study.statistics.confidence)
            row |= {measure: means[number], f"{measure}_low": low, f"{measure}_high": high}
    return row


def _resample(study: StudyConfig, own: pd.DataFrame, columns: list[str]) -> tuple[Floats, Floats]:
    """Return the means of columns, each benchmark weighing the same: (k,), and resampled (resamples, k)."""
    observed, drawn = [], []
    for name, rows in own.groupby("benchmark", sort=False):
        values = rows[columns].to_numpy(float)
        clusters = rows["cluster"].to_numpy(str) if rows["cluster"].any() else None
        rng = make_generator(study.seed, "traces", str(name))  # the same draws in every layer and variant
        observed.append(values.mean(0))
        drawn.append(resample_means(values, resamples=study.statistics.resamples, rng=rng, clusters=clusters))
    return np.mean(observed, axis=0), np.mean(drawn, axis=0)
