"""Oracles: each kind by hand, always apart, and honest about what was answered."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.study.results import read_points
from benchmarks.tables.oracle import GRID, METHOD, PRICE, build_oracle_rows
from benchmarks.tables.score_matrix import ScoreMatrix
from frism.errors import UserError
from tests.support.studies import study_of

SIZE = 100
STUDY = study_of(
    {
        "benchmarks": ["p", "r"],
        "variants": {
            "vlm": {"method": "vlm"},
            "swept": {"method": "inject", "grid": {"strength": [0.1, 0.2, 0.3]}},
            "early": {"method": "layer_range", "params": {"part": "early"}},
            "late": {"method": "layer_range", "params": {"part": "late"}},
        },
        "selection": {"perception_budget": 0.02, "oracle": True},
    }
)


def column(right):
    return np.r_[np.ones(right), np.zeros(SIZE - right)]


def answers(**right):
    """Test answers from {variant: (right in perception, right in reasoning)}."""
    frames = {b: pd.DataFrame({v: column(r[k]) for v, r in right.items()}) for k, b in enumerate("pr")}
    return ScoreMatrix(frames, dict.fromkeys("pr"), {"p": "perception", "r": "reasoning"})


def dev(**points):
    """dev.csv rows from {variant: [(right in perception, right in reasoning), ...]}."""
    return pd.DataFrame(
        {"variant": v, "point": i, "params": json.dumps({"strength": (i + 1) / 10}), "benchmark": b,
         "axis": axis, "group": axis, "n": SIZE, "correct": hits}
        for v, own in points.items()
        for i, pair in enumerate(own)
        for b, axis, hits in zip("pr", ("perception", "reasoning"), pair, strict=True)
    )  # fmt: skip


ON_TEST = answers(vlm=(98, 20), swept=(97, 40), early=(97, 30), late=(98, 35))
ON_DEV = dev(vlm=[(98, 20)], swept=[(98, 25), (97, 40), (80, 90)], early=[(97, 45)], late=[(98, 40)])
CHOICES = {
    "swept": {"point": 1, "params": {"strength": 0.2}},
    "early": {"point": 0, "params": {"part": "early"}},
    "late": {"point": 0, "params": {"part": "late"}},
}


def rows(points=None):
    return build_oracle_rows(STUDY, ON_TEST, ON_DEV, CHOICES, points or {}).set_index("kind")


def test_without_other_points_there_is_no_oracle_of_a_grid():
    assert GRID not in rows().index


def test_variants_of_one_method():
    row = rows().loc[METHOD]
    assert row["variant"] == "early, late" and row["points"] == 2
    assert "variant=early" in row["chosen_params"] and "variant=late" in row["oracle_params"]
    assert row["gap"] == pytest.approx(0.05)


def test_the_price_of_the_budget():
    row = rows().loc[PRICE]
    assert (row["variant"], row["chosen_reasoning"], row["oracle_reasoning"]) == ("swept", 0.4, 0.9)


def test_answered_grid_points_are_taken_up(tmp_path):
    for point, (p, r) in {0: (98, 30), 2: (97, 55)}.items():
        folder = tmp_path / "variants" / "swept" / "points" / str(point)
        folder.mkdir(parents=True)
        (folder / "recipe.json").write_text(json.dumps({"params": {"strength": (point + 1) / 10}}))
        parts = [
            pd.DataFrame({"benchmark": b, "axis": axis, "group": axis, "index": range(SIZE), "extracted": "x",
                          "correct": column(right), "correct_raw": 0.0, "truncated": False, "repeated": False,
                          "tokens": 1})
            for b, axis, right in (("p", "perception", p), ("r", "reasoning", r))
        ]  # fmt: skip
        pd.concat(parts).to_csv(folder / "test.csv", index=False)
    row = rows(read_points(tmp_path, STUDY)).loc[GRID]
    assert (row["points"], row["evaluated"]) == (3, 3)
    assert row["oracle_params"] == "strength=0.3" and row["chosen_params"] == "strength=0.2"
    assert row["gap"] == pytest.approx(0.15)
    unasked = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"oracle": False})})
    assert read_points(tmp_path, unasked) == {}
    points = read_points(tmp_path, STUDY)
    points["swept"].loc[0, "n"] = 50
    with pytest.raises(UserError, match="other test questions"):
        rows(points)


def test_a_study_of_one_axis_has_none():
    one = ScoreMatrix({"r": ON_TEST.correct["r"]}, {"r": None}, {"r": "reasoning"})
    assert build_oracle_rows(STUDY, one, ON_DEV, CHOICES, {}).empty
