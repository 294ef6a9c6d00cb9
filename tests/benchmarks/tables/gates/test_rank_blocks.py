"""Rank blocks: scores and the best of each block from dev scores, shares of energy, suites by name."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.statistics.intervals import wilson
from benchmarks.study.report_settings import ExplainSettings
from benchmarks.tables.gates.directions import Directions
from benchmarks.tables.gates.rank_blocks import build_rank_block_rows
from frism.errors import UserError
from tests.support.studies import study_of

AXIS = {"see": "perception", "name": "perception", "think": "reasoning", "plan": "reasoning"}


def study(**changes):
    lines = {
        "vlm": {"method": "vlm"},
        "plain": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "blocks": {
            "method": "rank_block",
            "params": {"blocks": 2},
            "grid": {"block": [0, 1], "strength": [0.5, 1]},
        },
    }
    settings = {"benchmarks": list(AXIS), "variants": lines, "selection": {"perception_budget": 0.02}}
    return study_of(settings | changes)


def dev_rows(variant, point, params, **correct):
    return [
        {"variant": variant, "point": point, "params": json.dumps(params), "benchmark": b, "axis": AXIS[b],
         "group": AXIS[b], "n": 100, "correct": c}
        for b, c in correct.items()
    ]  # fmt: skip


@pytest.fixture
def dev():
    def block(number, strength, point, **correct):
        params = {"block": number, "blocks": 2, "split": "count", "strength": strength}
        return dev_rows("blocks", point, params, **correct)

    return pd.DataFrame(
        [
            *dev_rows("vlm", 0, {}, see=98, name=98, think=20, plan=20),
            *dev_rows("plain", 0, {"strength": 0.5}, see=97, name=97, think=40, plan=40),
            *dev_rows("plain", 1, {"strength": 1.0}, see=80, name=80, think=60, plan=60),
            *block(0, 0.5, 0, see=97, name=97, think=30, plan=30),
            *block(0, 1.0, 1, see=96, name=96, think=30, plan=30),  # as good as the smaller strength
            *block(1, 0.5, 2, see=90, name=90, think=30, plan=50),
            *block(1, 1.0, 3, see=60, name=60, think=90, plan=90),
        ]
    )


@pytest.fixture
def directions():
    one = Directions(np.array([3.0, 2, 1, 1]), np.zeros(4), np.zeros(4), 0.0, 0.0, 0.0, 1, 0.5, (4, 4))
    return [one]


def test_rows(dev, directions):
    rows = build_rank_block_rows(study(), dev, directions)
    assert list(rows["block"]) == ["none", "all", "all", "0", "0", "1", "1"]
    assert list(rows["strength"]) == [0, 0.5, 1, 0.5, 1, 0.5, 1]
    keyed = rows.set_index(["block", "strength"])
    assert keyed.loc[("1", 0.5), "reasoning"] == pytest.approx(0.4) and (rows["reasoning_n"] == 200).all()
    assert list(rows["within_budget"]) == [True, True, False, True, True, False, False]
    assert [tuple(i) for i in keyed.index[keyed["best"]]] == [("none", 0.0), ("all", 0.5), ("0", 0.5)]
    assert keyed.loc[("0", 0.5), "energy_share"] == pytest.approx(13 / 15)
    assert keyed.loc[("1", 0.5), "energy_share"] == pytest.approx(2 / 15)
    assert (keyed.loc["all", "energy_share"] == 1).all()


def test_equal_energy_and_a_tail(dev, directions):
    dev["params"] = dev["params"].str.replace("count", "energy")
    own = Directions(**{**vars(directions[0]), "tail": 5.0})
    rows = build_rank_block_rows(study(), dev, [own]).set_index(["block", "strength"])
    # 20 in all: the first direction's middle lies at 4.5, the others beyond 10; the tail in the last block.
    assert rows.loc[("0", 0.5), "energy_share"] == pytest.approx(9 / 20)
    assert rows.loc[("1", 0.5), "energy_share"] == pytest.approx(11 / 20)


def test_one_suite_each(dev, directions):
    named = study(explain={"reasoning": "plan", "perception": "see"})
    rows = build_rank_block_rows(named, dev, directions).set_index(["block", "strength"])
    row = rows.loc[("1", 0.5)]
    assert row["reasoning"] == 0.5 and row["reasoning_n"] == 100
    assert (row["reasoning_low"], row["reasoning_high"]) == pytest.approx(wilson(50, 100))
    with pytest.raises(UserError, match=r"explain\.reasoning names other, which was not asked on dev"):
        build_rank_block_rows(study(explain={"reasoning": "other"}), dev, directions)


def test_nothing_without_blocks(dev, directions):
    lines = {"vlm": {"method": "vlm"}, "plain": {"method": "inject", "grid": {"strength": [0.5, 1.0]}}}
    rows = build_rank_block_rows(study(variants=lines), dev, directions)
    assert rows.empty and "energy_share" in rows


def test_settings_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="extra"):
        ExplainSettings.model_validate({"reason": "x"})
