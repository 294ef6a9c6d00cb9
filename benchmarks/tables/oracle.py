"""Measure what a choice made by looking would have gained: on test, and on dev without the budget.

An oracle is no result. It says how much the choice on dev left on the table, stands in a table of its own,
and enters no comparison.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.statistics.selection import Choice, choose
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import format_params, serialise_params
from benchmarks.tables.cells import list_names, make_columns
from benchmarks.tables.score_matrix import ScoreMatrix
from frism.errors import UserError

AXES = ("perception", "reasoning")
GRID, METHOD, PRICE = "grid on test", "one method's variants on test", "dev, budget ignored"
COLUMNS = (
    *make_columns("name", "kind", "variant"),
    *make_columns("count", "points", "evaluated"),
    *make_columns("name", "chosen_params"),
    *make_columns("share", "chosen_perception", "chosen_reasoning"),
    *make_columns("name", "oracle_params"),
    *make_columns("share", "oracle_perception", "oracle_reasoning", "gap"),
)


def build_oracle_rows(
    study: StudyConfig,
    answers: ScoreMatrix,
    dev: pd.DataFrame,
    choices: Mapping[str, Mapping[str, Any]],
    points: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Compare every choice that can be second-guessed with its oracle; `gap` is what reasoning it gives away.

    Kinds, by the data that exist:
    - GRID: `points[variant]` holds test scores of grid points (`selection.oracle`); the rule of
      `selection.choose` is applied to test scores.
    - METHOD: several variants of one method, each at its own chosen point, were answered on test anyway:
      the one that the rule takes by dev against the one it takes by test.
    - PRICE: per sweep the best dev reasoning if perception did not matter. Dev scores, no test.

    Args:
        dev: as `study.read_dev` gives it.
        points: per variant a frame point, params, benchmark, axis, n, correct of test scores.
    """
    if not set(AXES) <= set(answers.by_heading()):
        return pd.DataFrame(columns=list_names(COLUMNS))
    rows = [
        *_list_grids(study, answers, choices, points),
        *_list_methods(study, answers, dev, choices),
        *_price_budgets(study, dev, choices),
    ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def total_by_point(answers: ScoreMatrix, variant: str, point: int, params: str) -> pd.DataFrame:
    """Add up a variant's test scores on the two axes, in the shape of dev.csv."""
    benchmarks = [(axis, b) for axis in AXES for b in answers.by_heading()[axis]]
    scores = [answers.correct[b][variant] for _, b in benchmarks]
    return pd.DataFrame(
        {
            "point": point,
            "params": params,
            "benchmark": [b for _, b in benchmarks],
            "axis": [axis for axis, _ in benchmarks],
            "n": [len(column) for column in scores],
            "correct": [float(column.sum()) for column in scores],
        }
    )


def _list_grids(
    study: StudyConfig,
    answers: ScoreMatrix,
    choices: Mapping[str, Mapping[str, Any]],
    points: Mapping[str, pd.DataFrame],
) -> list[dict[str, Any]]:
    unmodified = total_by_point(answers, study.reference, 0, "{}")
    rows = []
    for variant, frame in points.items():
        size = len(study.variants[variant].points)
        if size < 2:
            continue
        expected = frame["benchmark"].map(unmodified.set_index("benchmark")["n"])
        if (frame.loc[expected.notna(), "n"] != expected.dropna()).any():
            raise UserError(
                f"a test.csv in variants/{variant}/points holds other test questions than the reference"
                " answered: answer and score that point again, or delete the file."
            )
        taken = int(choices.get(variant, {}).get("point", 0))
        answered = total_by_point(
            answers, variant, taken, serialise_params(_read_params(study, choices, variant))
        )
        every = pd.concat([frame[frame["point"] != taken], answered], ignore_index=True)
        best = choose(every, unmodified, budget=study.selection.perception_budget)
        chosen = choose(answered, unmodified, budget=study.selection.perception_budget)
        shown = study.variants[variant].swept
        rows.append(_make_row(GRID, variant, size, every["point"].nunique(), chosen, best, shown))
    return rows


def _list_methods(
    study: StudyConfig, answers: ScoreMatrix, dev: pd.DataFrame, choices: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    families: dict[str, list[str]] = {}
    for name, variant in study.variants.items():
        if variant.method is not None:
            families.setdefault(variant.method, []).append(name)
    budget, rows = study.selection.perception_budget, []
    unmodified = total_by_point(answers, study.reference, 0, "{}")
    for members in families.values():
        on_dev = [_read_chosen_dev(dev, choices, m, k) for k, m in enumerate(members)]
        if len(members) < 2 or study.reference in members or any(frame.empty for frame in on_dev):
            continue
        params = [serialise_params({"variant": m} | _read_params(study, choices, m)) for m in members]
        on_test = pd.concat(total_by_point(answers, m, k, params[k]) for k, m in enumerate(members))
        reference = _read_chosen_dev(dev, choices, study.reference, 0)
        by_dev = choose(pd.concat(on_dev), reference, budget=budget)
        by_test = choose(on_test, unmodified, budget=budget)
        chosen = choose(on_test[on_test["point"] == by_dev.point], unmodified, budget=budget)
        size, shown = len(members), ["variant"]
        rows.append(_make_row(METHOD, ", ".join(members), size, size, chosen, by_test, shown))
    return rows


def _price_budgets(
    study: StudyConfig, dev: pd.DataFrame, choices: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    rows, reference = [], dev[dev["variant"] == study.reference]
    for variant, scores in dev.groupby("variant", sort=False):
        count = scores["point"].nunique()
        if count < 2 or "point" not in choices.get(str(variant), {}) or reference.empty:
            continue
        anything = choose(scores, reference, budget=1.0)
        taken = choices[str(variant)]["point"]
        chosen = choose(scores[scores["point"] == taken], reference, budget=1.0)
        shown = study.variants[str(variant)].swept
        rows.append(_make_row(PRICE, str(variant), count, count, chosen, anything, shown))
    return rows


def _make_row(
    kind: str, variant: str, size: int, evaluated: int, chosen: Choice, oracle: Choice, shown: list[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "variant": variant, "points": size, "evaluated": evaluated}
    for name, choice in (("chosen", chosen), ("oracle", oracle)):
        taken = next(c for c in choice.candidates if c.point == choice.point)
        row |= {
            f"{name}_params": format_params({k: choice.params[k] for k in shown if k in choice.params}),
            f"{name}_perception": taken.perception,
            f"{name}_reasoning": taken.reasoning,
        }
    return row | {"gap": row["oracle_reasoning"] - row["chosen_reasoning"]}


def _read_chosen_dev(
    dev: pd.DataFrame, choices: Mapping[str, Mapping[str, Any]], variant: str, point: int
) -> pd.DataFrame:
    """Take a variant's dev scores at its chosen point, numbered `point`."""
    taken: int = choices.get(variant, {}).get("point", 0)
    return dev[(dev["variant"] == variant) & (dev["point"] == taken)].assign(point=point)


def _read_params(
    study: StudyConfig, choices: Mapping[str, Mapping[str, Any]], variant: str
) -> dict[str, Any]:
    return dict(choices.get(variant, {}).get("params") or study.variants[variant].params)
