"""Set how far merges move the residual stream against what they lose of perception, on the same questions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.analyses.measuring.blocks import THIRDS, cut_evenly
from benchmarks.analyses.reporting.resampling import estimate
from benchmarks.statistics.comparison import Stratum, compare_pairs
from benchmarks.statistics.intervals import make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import format_interval, list_names, make_columns, make_estimate

QUESTION = ["benchmark", "index"]
COLUMNS = (
    *make_columns("name", "entry", "variant", "tokens", "layers"),
    *make_columns("count", "n"),
    *make_estimate("relative"),
    *make_columns("share", "vlm", "merged"),
    *make_estimate("difference"),
    *make_columns("p", "p"),
    *make_columns("count", "lost"),
    *make_estimate("excess"),
)


def build_drift_loss_rows(study: StudyConfig, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, kind of token and third of the depth, over perception questions.

    `relative`: mean over the band's layers. `vlm`, `merged`, `difference`: scores of the stored dev answers
    to the same questions, with the exact test's p. `lost`: questions that V got right and the merge did not;
    `excess`: their drift minus that of the questions which both got right, where there are two of each.
    Layer 0, which no merge moves, is in no band.
    """
    perception = traced[(traced["axis"] == "perception") & (traced["layer"] > 0)]
    rows = [
        row
        for _, own in perception.groupby(["entry", "variant"], sort=False)
        for row in _list_rows(study, own)
    ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _list_rows(study: StudyConfig, own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    entry, variant, layers = own["entry"].iloc[0], own["variant"].iloc[0], int(own["layer"].max())
    one = own.drop_duplicates(QUESTION)
    strata = [_pair(rows) for _, rows in one.groupby("benchmark", sort=False)]
    found = compare_pairs(
        strata, confidence=study.statistics.confidence, resamples=study.statistics.resamples, seed=study.seed,
        key=f"drift {entry} {variant}",
    )  # fmt: skip
    low, high = found.difference_interval
    scores = {
        "vlm": found.reference, "merged": found.score, "difference": found.difference, "difference_low": low,
        "difference_high": high, "p": found.p,
    }  # fmt: skip
    for kind, tokens in own.groupby("tokens", sort=False):
        for name, band in zip(THIRDS, cut_evenly(layers, len(THIRDS)), strict=False):
            inside = tokens[tokens["layer"].between(band[0] + 1, band[-1] + 1)]
            keys = [*QUESTION, "cluster", "correct", "correct_vlm"]
            means = inside.groupby(keys, sort=False)["relative"].mean().reset_index()
            yield {
                "entry": entry, "variant": variant, "tokens": kind, "layers": name, "n": len(means),
                **estimate(study, means, ["relative"]), **scores, **_measure_excess(study, means),
            }  # fmt: skip


def _pair(rows: pd.DataFrame) -> Stratum:
    clusters = rows["cluster"].to_numpy(str)
    codes = np.unique(clusters, return_inverse=True)[1] if any(clusters) else None
    return Stratum(rows["correct"].to_numpy(float), rows["correct_vlm"].to_numpy(float), codes)


def _measure_excess(study: StudyConfig, means: pd.DataFrame) -> dict[str, Any]:
    """Compare the drift of lost questions with that of kept ones; both groups are resampled apart."""
    right = means[means["correct_vlm"] > 0.5]
    groups = [right[right["correct"] <= 0.5]["relative"], right[right["correct"] > 0.5]["relative"]]
    row: dict[str, Any] = {"lost": len(groups[0])}
    if min(map(len, groups)) < 2:
        return row
    draws = [
        resample_means(
            values.to_numpy(float)[:, None], resamples=study.statistics.resamples,
            rng=make_generator(study.seed, "drift", str(number)),
        )[:, 0]
        for number, values in enumerate(groups)
    ]  # fmt: skip
    low, high = percentiles(draws[0] - draws[1], study.statistics.confidence)
    return row | {
        "excess": float(groups[0].mean() - groups[1].mean()), "excess_low": low, "excess_high": high,
    }  # fmt: skip


def describe_drift(rows: pd.DataFrame) -> list[str]:
    """Write a sentence per merge: how far picture tokens move by thirds of the depth, and what is lost."""
    lines = []
    for variant, own in rows[rows["tokens"] == "picture"].groupby("variant", sort=False):
        moved = ", ".join(
            f"{row['layers']} {format_interval(row['relative'], row['relative_low'], row['relative_high'])}"
            for row in own.to_dict("records")
        )
        value, low, high = own.iloc[0][["difference", "difference_low", "difference_high"]]
        lines.append(
            f"`{variant}`: picture tokens move by {moved} of their norm; perception on these"
            f" {own['n'].iloc[0]} questions {format_interval(value, low, high, signed=True)}."
        )
    return lines
