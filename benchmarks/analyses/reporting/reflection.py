"""Tabulate how variants think aloud: counts per answer, with paired differences to the unmodified model."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.analyses.reporting.answers import AXES, REFLECTION
from benchmarks.statistics.intervals import make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import Column, list_names, make_columns, make_estimate
from frism.errors import UserError

MEASURES = (
    "tokens",
    "steps",
    "reflections",
    "corrections",
    "rereads",
    "switches",
    "unfinished",
    "truncated",
    "repeated",
)
VALUES = {"True": "1", "False": "0", "": "nan"}  # what is not known is empty
QUESTION = ["entry", "axis", "benchmark", "index"]
COLUMNS = (
    *make_columns("name", "entry", "variant", "axis", "measure"),
    *make_columns("count", "n"),
    *[Column("mean", "length"), Column("mean_low", "low"), Column("mean_high", "high")],
    *make_estimate("difference"),
)


def read_counts(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read the counts of all entries and variants: a row per answer, with a column `entry`.

    Raises UserError for a file that is missing or broken.
    """
    parts = []
    for entry, settings in study.analyses.items():
        if (settings.analysis or entry) != REFLECTION:
            continue
        for variant in settings.variants or study.variants:
            path = results / "analyses" / entry / f"{variant}.csv"
            try:
                table = pd.read_csv(path, dtype={"index": str, "cluster": str}, keep_default_na=False)
                counts = table[list(MEASURES)].astype(str).replace(VALUES).astype(float)
                parts.append(table.assign(entry=entry).assign(**counts).astype({"correct": float}))
            except (OSError, ValueError, KeyError) as error:
                raise UserError(
                    f"{path} holds no counts of answers ({error}): run snakemake again."
                ) from None
    columns = [*QUESTION, "variant", "cluster", "correct", *MEASURES]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def build_reflection_rows(study: StudyConfig, counts: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis and measure: its mean per answer.

    Each benchmark weighs the same. Intervals are of a bootstrap of questions (whole clusters), paired with
    the reference's answers.
    """
    rows = [
        row
        for _, own in counts.groupby(["entry", "variant"], sort=False)
        for row in _list_rows(study, counts, own)
    ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _list_rows(study: StudyConfig, counts: pd.DataFrame, own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    entry, variant = own["entry"].iloc[0], own["variant"].iloc[0]
    reference = counts[(counts["variant"] == study.reference) & (counts["entry"] == entry)]
    compared = variant != study.reference and len(reference) > 0
    pairs = own.merge(reference, on=QUESTION, how="left", suffixes=("", "_reference"), validate="1:1")
    for axis in [axis for axis in AXES if (own["axis"] == axis).any()]:
        on_axis = [rows for _, rows in pairs[pairs["axis"] == axis].groupby("benchmark", sort=False)]
        for measure in MEASURES:
            observed, drawn = _resample(study, on_axis, measure, f"{entry} {axis}")
            low, high = percentiles(drawn[:, 0], study.statistics.confidence)
            row = {
                "entry": entry, "variant": variant, "axis": axis, "measure": measure,
                "n": sum(map(len, on_axis)), "mean": observed[0], "mean_low": low, "mean_high": high,
            }  # fmt: skip
            if compared:
                low, high = percentiles(drawn[:, 0] - drawn[:, 1], study.statistics.confidence)
                row |= {
                    "difference": observed[0] - observed[1],
                    "difference_low": low,
                    "difference_high": high,
                }
            yield row


def _resample(study: StudyConfig, parts: Sequence[pd.DataFrame], measure: str, key: str) -> tuple[Any, Any]:
    """Return the means of a measure, of the variant and the reference: (2,), and resampled (resamples, 2)."""
    observed, drawn = [], []
    for number, rows in enumerate(parts):
        values = rows[[measure, f"{measure}_reference"]].to_numpy(float)
        clusters = rows["cluster"].to_numpy(str) if rows["cluster"].any() else None
        rng = make_generator(study.seed, REFLECTION, key, str(number))
        observed.append(values.mean(0))
        drawn.append(resample_means(values, resamples=study.statistics.resamples, rng=rng, clusters=clusters))
    return np.mean(observed, axis=0), np.mean(drawn, axis=0)


def describe_reflection(rows: pd.DataFrame) -> list[str]:
    """Write a sentence per variant: what of its reasoning answers differs from the reference's."""
    lines = []
    for variant, own in rows[(rows["axis"] == "reasoning") & rows["difference"].notna()].groupby(
        "variant", sort=False
    ):
        shown = own[(own["difference_low"] > 0) | (own["difference_high"] < 0)]
        listed = [
            f"{r['measure']} {r['difference']:+.2f} [{r['difference_low']:+.2f}, {r['difference_high']:+.2f}]"
            for r in shown.to_dict("records")
        ]
        lines.append(f"`{variant}`: {', '.join(listed) or 'nothing beyond noise'}.")
    return lines
