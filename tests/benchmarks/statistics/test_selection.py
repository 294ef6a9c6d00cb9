"""The choice on dev: budget, ties, nothing qualifies, and bad input."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.statistics.selection import choose
from frism.errors import UserError

N = 100


def dev(*points):
    """A dev frame with two suites an axis; each point is (perception hits, reasoning hits) of N a suite."""
    return pd.DataFrame(
        {"point": i, "params": json.dumps({"strength": i / 10}), "benchmark": f"{axis}{k}", "axis": axis,
         "group": axis, "n": N, "correct": hits, "score": hits / N}
        for i, point in enumerate(points)
        for axis, hits in zip(("perception", "reasoning"), point, strict=True)
        for k in range(2)
    )  # fmt: skip


VLM = dev((98, 10))


def test_best_reasoning_within_the_budget():
    choice = choose(dev((98, 20), (96, 40), (95, 70)), VLM, budget=0.02)
    assert (choice.point, choice.params, choice.budget_missed) == (1, {"strength": 0.1}, False)
    assert [c.within_budget for c in choice.candidates] == [True, True, False]


def test_the_edge_of_the_budget_counts_as_within():
    # 0.98 - 0.02 is 0.96 on paper and a hair off in floating point.
    assert choose(dev((96, 40)), VLM, budget=0.02).candidates[0].within_budget


def test_ties_take_the_least_injection():
    assert choose(dev((98, 20), (97, 40), (96, 40)), VLM, budget=0.02).point == 1


def test_nothing_qualifies():
    choice = choose(dev((50, 20), (90, 15), (90, 40)), VLM, budget=0.02)
    assert choice.point == 1 and choice.budget_missed


def test_other_axes_do_not_count():
    frame = dev((98, 20), (97, 40))
    other = frame[frame["axis"] == "reasoning"].assign(axis="other", benchmark="extra")
    other["correct"] = [99, 99, 0, 0]
    other = other.drop_duplicates(["point", "benchmark"])
    assert choose(pd.concat([frame, other]), VLM, budget=0.02).point == 1


def test_choice_is_plain_json():
    value = choose(dev((98, 20), (97, 40)), VLM, budget=0.02).to_dict()
    assert json.loads(json.dumps(value)) == value
    assert {"point", "params", "rule", "budget", "candidates"} <= set(value)
    assert value["candidates"][1]["reasoning"] == 0.4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, N), st.integers(0, N)), min_size=1, max_size=8), st.integers(0, 30))
def test_no_candidate_is_better(points, budget):
    choice = choose(dev(*points), VLM, budget=budget / 100)
    floor = 98 - budget
    kept = [i for i, (p, _) in enumerate(points) if p >= floor]
    if kept:
        best = max(points[i][1] for i in kept)
        assert choice.point == next(i for i in kept if points[i][1] == best)
    else:
        best = max(p for p, _ in points)
        assert choice.point == next(i for i, (p, _) in enumerate(points) if p == best)


@pytest.mark.parametrize(
    ("frame", "reference", "message"),
    [
        (dev((98, 20)).drop(columns="n"), VLM, "lack the column n"),
        (dev((98, 20)).iloc[:0], VLM, "are empty"),
        (dev((98, 20)), dev((98, 10), (98, 10)), "hold 2 points"),
        (dev((98, 20)).query("axis == 'reasoning'"), VLM, "no perception benchmark"),
        (dev((98, 20)).iloc[1:], VLM, "not scored once on each"),
    ],
)
def test_bad_input_is_one_sentence(frame, reference, message):
    with pytest.raises(UserError, match=message):
        choose(frame, reference, budget=0.02)
