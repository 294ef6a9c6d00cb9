"""Choose a grid point on dev: the best reasoning whose perception stays within a budget of the VLM's.

A pure function of dev scores; no test score comes near it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from frism.errors import UserError

REQUIRED = ("point", "params", "benchmark", "axis", "n", "correct")
# Two scores closer than this are the same number met by different roundings.
TIE = 1e-9


@dataclass(frozen=True)
class Candidate:
    """One grid point's dev scores: plain means over the benchmarks of an axis, shares in [0, 1]."""

    point: int
    params: dict[str, Any]
    perception: float
    reasoning: float
    within_budget: bool


@dataclass(frozen=True)
class Choice:
    """The chosen point, the sentence of the rule, and every candidate in grid order."""

    point: int
    params: dict[str, Any]
    rule: str
    budget: float
    budget_missed: bool
    reference_perception: float
    candidates: tuple[Candidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Make the content of choice.json: plain JSON types, the keys above."""
        return asdict(self) | {"candidates": [asdict(c) for c in self.candidates]}


def choose(dev: pd.DataFrame, reference: pd.DataFrame, *, budget: float) -> Choice:
    """Choose among the grid points of one variant.

    Args:
        dev: dev.csv of the variant, one row per (point, benchmark), columns at least point, params (JSON
            object), benchmark, axis, n, correct; points in grid order, the least injection first.
        reference: the same for the unmodified VLM, with one point.
        budget: perception that may be lost on dev, as a share.

    Rule: among the points whose perception is at least the reference's minus `budget`, the one with the
    best reasoning; of equals the first in grid order. If no point qualifies: the one with the best
    perception, with `budget_missed`.

    Raises UserError for missing columns, an axis without benchmarks, or points scored on different ones.
    """
    unmodified = _points(reference, "the reference")
    if len(unmodified) != 1:
        raise UserError(
            f"the reference's dev scores hold {len(unmodified)} points, not one: score it without a grid."
        )
    floor = unmodified[0].perception - budget
    candidates = tuple(
        Candidate(c.point, c.params, c.perception, c.reasoning, c.perception >= floor - TIE)
        for c in _points(dev, "the variant")
    )
    _same_benchmarks(dev, reference)
    qualified = [c for c in candidates if c.within_budget]
    if qualified:
        best = max(c.reasoning for c in qualified)
        chosen = next(c for c in qualified if c.reasoning >= best - TIE)
        rule = f"best dev reasoning with dev perception at most {budget:g} below the reference; ties: first"
    else:
        best = max(c.perception for c in candidates)
        chosen = next(c for c in candidates if c.perception >= best - TIE)
        rule = (
            f"budget missed: no point within {budget:g} of dev perception; best dev perception, ties: first"
        )
    return Choice(
        point=chosen.point,
        params=chosen.params,
        rule=rule,
        budget=budget,
        budget_missed=not qualified,
        reference_perception=unmodified[0].perception,
        candidates=candidates,
    )


def axis_means(dev: pd.DataFrame) -> dict[str, float]:
    """Average one point's dev scores over the benchmarks of each axis, as shares of correct answers."""
    means = (dev["correct"] / dev["n"]).groupby(dev["axis"]).mean()
    return {str(axis): float(mean) for axis, mean in means.items()}


def _points(dev: pd.DataFrame, owner: str) -> list[Candidate]:
    """Average the dev scores of every point over the benchmarks of each axis."""
    missing = [c for c in REQUIRED if c not in dev.columns]
    if missing or dev.empty:
        what = f"lack the column {missing[0]}" if missing else "are empty"
        raise UserError(f"the dev scores of {owner} {what}: delete its dev.csv and run again.")
    result = []
    for _, rows in dev.groupby("point", sort=False):
        means = axis_means(rows)
        for axis in ("perception", "reasoning"):
            if axis not in means:
                raise UserError(
                    f"the dev scores of {owner} hold no {axis} benchmark: add one to `benchmarks`."
                )
        params = rows["params"].iloc[0]
        params = json.loads(params) if isinstance(params, str) else dict(params)
        number = int(rows["point"].iloc[0])
        result.append(Candidate(number, params, means["perception"], means["reasoning"], True))
    return result


def _same_benchmarks(dev: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Raise UserError unless every point was scored once on each of the reference's benchmarks."""
    compared = ("perception", "reasoning")
    expected = set(reference.loc[reference["axis"].isin(compared), "benchmark"])
    for point, rows in dev[dev["axis"].isin(compared)].groupby("point", sort=False):
        if set(rows["benchmark"]) != expected or rows["benchmark"].duplicated().any():
            raise UserError(
                f"dev point {point} was not scored once on each of the reference's benchmarks"
                f" ({', '.join(sorted(expected))}): delete dev.csv and run again."
            )
