"""Tabulate what every intervention costs or brings: a row per entry, variant, intervention and axis."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from benchmarks.analyses.measuring.intervention import BARE, IN, INTACT, OUT
from benchmarks.analyses.reporting.answers import AXES, Answers, name_step
from benchmarks.statistics.comparison import Comparison, compare_pairs
from benchmarks.statistics.paired_tests import holm
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import Column, list_names, make_columns, make_estimate

COLUMNS: tuple[Column, ...] = (
    *make_columns("name", "entry", "variant", "action", "module", "unit"),
    *make_columns("count", "first", "last"),
    *make_columns("name", "axis"),
    *make_columns("count", "n"),
    *make_estimate("score", "low", "high"),
    *make_columns("mark", "against"),
    *make_columns("share", "reference"),
    *make_estimate("difference"),
    *make_columns("share", "relative", "carried"),
    *make_columns("p", "p", "p_holm"),
)


def build_loss_rows(study: StudyConfig, answers: Sequence[Answers]) -> pd.DataFrame:
    """Compare every intervention with the intact variant, or (a change put in) with V, on the same questions.

    `relative`: difference over the score under `against`. `carried`: the share of the whole change's effect
    (intact minus V's weights) that a part loses when it is out, or brings when it is in alone; empty unless
    the interval of that effect excludes 0. `p_holm`: over all rows of an entry.
    """
    frame = pd.DataFrame(
        [row for one in answers for row in _list_rows(study, one)], columns=list_names(COLUMNS)
    )
    if len(frame):
        frame["p_holm"] = frame.groupby("entry")["p"].transform(lambda p: holm(p.to_numpy()))
    return frame


def _list_rows(study: StudyConfig, answers: Answers) -> Iterator[dict[str, Any]]:
    intact, bare = answers.locate(INTACT.action), answers.locate(BARE)
    assert intact is not None, "every analysis begins with it"
    for axis in [axis for axis in AXES if axis in answers.axes]:
        whole = _compare(study, answers, axis, intact, bare) if bare is not None else None
        for place, step in enumerate(answers.steps):
            if place == intact:
                continue
            against = bare if step[0] == IN and bare is not None else intact
            found = _compare(study, answers, axis, place, against)
            low, high = found.difference_interval
            names = ("action", "module", "unit", "first", "last")
            yield {
                "entry": answers.entry,
                "variant": answers.variant,
                **dict(zip(names, step, strict=True)),
                "axis": axis,
                "n": found.n,
                "score": found.score,
                "low": found.score_interval[0],
                "high": found.score_interval[1],
                "against": answers.steps[against][0],
                "reference": found.reference,
                "difference": found.difference,
                "difference_low": low,
                "difference_high": high,
                "relative": found.difference / found.reference if found.reference > 0 else math.nan,
                "carried": _measure_carried(step[0], found, whole),
                "p": found.p,
            }


def _compare(study: StudyConfig, answers: Answers, axis: str, step: int, against: int) -> Comparison:
    statistics = study.statistics
    return compare_pairs(
        answers.pair(axis, step, against),
        confidence=statistics.confidence, resamples=statistics.resamples, seed=study.seed,
        key=f"{answers.entry} {answers.variant} {axis} {name_step(answers.steps[step])}",
    )  # fmt: skip


def _measure_carried(action: str, found: Comparison, whole: Comparison | None) -> float:
    if (
        whole is None
        or action not in (IN, OUT)
        or whole.difference_interval[0] <= 0 <= whole.difference_interval[1]
    ):
        return math.nan
    return (found.difference if action == IN else -found.difference) / whole.difference


def show_largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep of every profile the block with the largest difference, either way, for the Markdown."""
    if rows.empty:
        return rows
    keys = ["entry", "variant", "action", "module", "unit", "axis"]
    return rows.loc[
        sorted(rows["difference"].abs().groupby([rows[key] for key in keys], sort=False).idxmax())
    ]
