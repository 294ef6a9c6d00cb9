"""Tabulate what was measured inside models: means by layer and kind of token, with intervals."""

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.analyses.reporting.answers import ATTENTION, DRIFT
from benchmarks.analyses.reporting.resampling import estimate
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import Column, list_names, make_columns, make_estimate
from frism.errors import UserError

SAME = ["entry", "benchmark", "index"]  # a question
QUESTION = ["variant", "axis", "benchmark", "index", "cluster"]
KEYS = ["entry", "variant", "axis", "tokens", "layer"]
MEASURES = {DRIFT: ("cosine", "relative"), ATTENTION: ("picture", "relative", "most")}
TILES = ("relevant", "irrelevant")  # of attention, where the world says which; both on the same questions


def list_columns(analysis: str) -> list[Column]:
    """List the columns of an analysis' table."""
    estimates = [column for measure in MEASURES[analysis] for column in make_estimate(measure)]
    named = [*make_columns("name", *KEYS[:-1]), *make_columns("count", "layer", "n")]
    tiles = [column for sort in TILES for column in make_estimate(sort)] if analysis == ATTENTION else []
    return [*named, *estimates, *tiles, *make_estimate("difference")]


def read_traces(results: Path, study: StudyConfig, analysis: str, columns: list[str]) -> pd.DataFrame:
    """Read what was traced of an analysis' entries: QUESTION, these columns, and the entry.

    Raises UserError for a file that is missing or broken.
    """
    columns, parts = [*QUESTION, *columns], []
    for entry, settings in study.analyses.items():
        if (settings.analysis or entry) != analysis:
            continue
        for variant in settings.variants or study.variants:
            path = results / "analyses" / entry / f"{variant}.csv"
            if not (path.is_file() or settings.variants):
                continue
            texts, unknown = {"index": str, "cluster": str, "heads": str}, {sort: [""] for sort in TILES}
            try:
                table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=unknown)
                parts.append(table[columns].assign(entry=entry))
            except (OSError, ValueError, KeyError) as error:
                raise UserError(f"{path} holds no traces ({error}): run snakemake again.") from None
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["entry", *columns])


def read_layers(results: Path, study: StudyConfig, analysis: str) -> pd.DataFrame:
    """Read the traces of an analysis that go through the layers: a row per question, layer and kind of token.

    Raises UserError for a file that is missing or broken.
    """
    further = {ATTENTION: [*TILES, "heads"], DRIFT: ["correct", "correct_vlm"]}[analysis]
    return read_traces(results, study, analysis, ["layer", "tokens", *MEASURES[analysis], *further])


def build_trace_rows(study: StudyConfig, analysis: str, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis, kind of token and layer; intervals bootstrap whole questions.

    A question's value is the mean over its tokens; each benchmark weighs the same. `difference`: of the first
    measure, to V's on the same questions, where V was traced too, over the questions whose two answers both
    have such tokens.
    """
    measures = list(MEASURES[analysis])
    paired = pair_with_vlm(study, traced, measures[0], [*SAME, "layer", "tokens"])
    tiles = [sort for sort in TILES if sort in paired]
    rows = [
        dict(zip(KEYS, names, strict=True))
        | {"n": len(own)}
        | estimate(study, own, measures)
        | (estimate(study, own.dropna(subset=tiles), tiles) if tiles else {})
        # One of two answers may be too short for four quarters.
        | estimate(study, own.dropna(subset="difference"), ["difference"])
        for names, own in paired.groupby(KEYS, sort=False)
    ]
    return pd.DataFrame(rows, columns=list_names(list_columns(analysis)))


def pair_with_vlm(study: StudyConfig, rows: pd.DataFrame, measure: str, same: list[str]) -> pd.DataFrame:
    """Add the difference of a measure to the reference's of the `same` row; nan where that has none."""
    vlm = rows[rows["variant"] == study.reference][[*same, measure]]
    paired = rows.merge(vlm, on=same, how="left", suffixes=("", "_vlm"), validate="m:1")
    difference: Any = paired[measure] - paired[f"{measure}_vlm"]
    return paired.assign(difference=difference.where(paired["variant"] != study.reference))
