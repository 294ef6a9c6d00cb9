"""Choose a grid point on dev: the best reasoning whose perception stays within a budget of the VLM's.

A third axis, a group of benchmarks beside both axes, may have a budget of its own.

A pure function of dev scores; no test score comes near it.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from frism.errors import UserError

REQUIRED_COLUMNS = ("point", "params", "benchmark", "axis", "n", "correct")
# Two scores closer than this are the same number met by different roundings.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Candidate:
    """One grid point's dev scores: plain means over the benchmarks of an axis, shares in [0, 1]."""

    point: int
    params: dict[str, Any]
    perception: float
    reasoning: float
    within_budget: bool
    third: float | None = None


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
    third: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Make the content of choice.json: plain JSON types, the keys above, without what is not there."""
        whole = asdict(self) | {"candidates": [_drop_nothing(asdict(c)) for c in self.candidates]}
        return _drop_nothing(whole)


def _drop_nothing(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "third" or value is not None}


def choose(
    dev: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    budget: float,
    third: tuple[str, float | None] | None = None,
) -> Choice:
    """Choose among the grid points of one variant.

    Args:
        dev: dev.csv of the variant, one row per (point, benchmark), columns at least point, params (JSON
            object), benchmark, axis, n, correct; points in grid order, the least injection first.
        reference: the same for the unmodified VLM, with one point.
        budget: perception that may be lost on dev, as a share.
        third: a group of benchmarks, and what may be lost of it; None: it is told and chooses nothing.

    Rule: among the points whose perception is at least the reference's minus `budget` (and whose third axis
    is at least its reference minus its budget), the one with the best reasoning; of equals the first in grid
    order. If no point qualifies, with `budget_missed`: the one that exceeds its worse budget least, which
    under one budget is the one with the best perception.

    Raises UserError for missing columns, an axis without benchmarks, or points scored on different ones.
    """
    name, third_budget = third or (None, None)
    unmodified = _list_points(reference, "the reference", name)
    if len(unmodified) != 1:
        raise UserError(
            f"the reference's dev scores hold {len(unmodified)} points, not one: score it without a grid."
        )
    floor = unmodified[0].perception - budget
    third_floor = None
    if third_budget is not None and unmodified[0].third is not None:
        third_floor = unmodified[0].third - third_budget

    def lack(point: Candidate) -> float:
        """Measure by how much a point exceeds its worse budget; 0 or less: it keeps both."""
        lacks = [floor - point.perception]
        if third_floor is not None and point.third is not None:
            lacks.append(third_floor - point.third)
        return max(lacks)

    candidates = tuple(
        replace(c, within_budget=lack(c) <= TOLERANCE) for c in _list_points(dev, "the variant", name)
    )
    _check_benchmarks(dev, reference, name)
    qualified = [c for c in candidates if c.within_budget]
    limit = f"{budget:g} of dev perception" + (
        "" if third_floor is None else f" and {third_budget:g} of dev {name}"
    )
    if qualified:
        best = max(c.reasoning for c in qualified)
        chosen = next(c for c in qualified if c.reasoning >= best - TOLERANCE)
        rule = f"best dev reasoning with dev perception at most {budget:g} below the reference; ties: first"
        if third_floor is not None:
            rule = rule.replace("; ties", f", {name} at most {third_budget:g}; ties")
    else:
        least = min(map(lack, candidates))
        chosen = next(c for c in candidates if lack(c) <= least + TOLERANCE)
        taken = "best dev perception" if third_floor is None else "the worse excess least"
        rule = f"budget missed: no point within {limit}; {taken}, ties: first"
    told = {"group": name, "budget": third_budget, "reference": unmodified[0].third}
    return Choice(
        point=chosen.point,
        params=chosen.params,
        rule=rule,
        budget=budget,
        budget_missed=not qualified,
        reference_perception=unmodified[0].perception,
        candidates=candidates,
        third=None if name is None else told,
    )


def axis_means(dev: pd.DataFrame) -> dict[str, float]:
    """Average one point's dev scores over the benchmarks of each axis, as shares of correct answers."""
    means = (dev["correct"] / dev["n"]).groupby(dev["axis"]).mean()
    return {str(axis): float(mean) for axis, mean in means.items()}


def group_mean(dev: pd.DataFrame, group: str) -> float:
    """Average one point's dev scores over the benchmarks of a group, as a share of correct answers."""
    rows = dev[dev["group"] == group]
    return float((rows["correct"] / rows["n"]).mean())


def _list_points(dev: pd.DataFrame, owner: str, group: str | None = None) -> list[Candidate]:
    """Average the dev scores of every point over the benchmarks of each axis, and of a third group."""
    missing = [c for c in REQUIRED_COLUMNS if c not in dev.columns]
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
        third = None if group is None else group_mean(rows, group)
        if third is not None and math.isnan(third):
            raise UserError(
                f"the dev scores of {owner} hold no benchmark of the third axis '{group}': mark its"
                " benchmarks with dev: true, delete dev.csv and run again."
            )
        result.append(Candidate(number, params, means["perception"], means["reasoning"], True, third))
    return result


def _check_benchmarks(dev: pd.DataFrame, reference: pd.DataFrame, group: str | None = None) -> None:
    """Raise UserError unless every point was scored once on each of the reference's benchmarks."""

    def select(frame: pd.DataFrame) -> pd.DataFrame:
        counts = frame["axis"].isin(("perception", "reasoning"))
        return frame[counts | (frame["group"] == group)] if group is not None else frame[counts]

    expected = set(select(reference)["benchmark"])
    for point, rows in select(dev).groupby("point", sort=False):
        if set(rows["benchmark"]) != expected or rows["benchmark"].duplicated().any():
            raise UserError(
                f"dev point {point} was not scored once on each of the reference's benchmarks"
                f" ({', '.join(sorted(expected))}): delete dev.csv and run again."
            )
