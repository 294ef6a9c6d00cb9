"""Front, hypervolume, joint bootstrap and budget: by hand, by brute force, and against the tables' tests."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.statistics.paired_tests import Changes, holm, non_inferiority
from benchmarks.tables.pareto import (
    ALL_VARIANTS,
    build_pareto_rows,
    compute_hypervolume,
    find_front,
    resample_joint_means,
)
from benchmarks.tables.score_matrix import ScoreMatrix
from tests.support.studies import study_of

VARIANTS = ["vlm", "good", "greedy", "bad"]
CONFIG = {
    "benchmarks": ["p1", "p2", "r"],
    "variants": {v: {"method": "vlm" if v == "vlm" else "inject"} for v in VARIANTS},
    "statistics": {"resamples": 800},
}
STUDY = study_of(CONFIG)
shares = arrays(float, st.integers(1, 7), elements=st.integers(0, 10).map(lambda k: k / 10))


def answers(seed=0, n=400):
    rng = np.random.default_rng(seed)
    chances = {"p1": [0.95, 0.945, 0.8, 0.7], "p2": [0.9, 0.895, 0.7, 0.7], "r": [0.3, 0.6, 0.7, 0.25]}
    frames = {
        b: pd.DataFrame((rng.random((n, 1)) < chance).astype(float), columns=VARIANTS)
        for b, chance in chances.items()
    }
    headings = {"p1": "perception", "p2": "perception", "r": "reasoning"}
    return ScoreMatrix(frames, dict.fromkeys(chances), headings)


@given(shares, st.randoms(use_true_random=False))
def test_front_by_definition(x, random):
    y = np.array([random.randint(0, 10) / 10 for _ in x])
    for j, found in enumerate(find_front(x, y)):
        beaten = any(x[i] >= x[j] and y[i] >= y[j] and (x[i], y[i]) != (x[j], y[j]) for i in range(len(x)))
        assert found == (not beaten)


@settings(max_examples=60, deadline=None)
@given(shares, st.randoms(use_true_random=False))
def test_hypervolume_counts_the_cells_of_a_grid(x, random):
    y = np.array([random.randint(0, 10) / 10 for _ in x])
    middle = (np.arange(10) + 0.5) / 10
    covered = ((middle[:, None, None] < x) & (middle[None, :, None] < y)).any(axis=-1)
    assert compute_hypervolume(x, y) == pytest.approx(covered.mean(), abs=1e-12)


def test_hypervolume_by_hand_and_of_many():
    x, y = np.array([0.5, 0.9, 0.4]), np.array([0.8, 0.2, 0.1])
    assert compute_hypervolume(x, y) == pytest.approx(0.5 * 0.8 + 0.4 * 0.2)
    assert compute_hypervolume(np.tile(x, (3, 1)), np.tile(y, (3, 1))) == pytest.approx([0.48] * 3)
    assert compute_hypervolume(np.zeros(0), np.zeros(0)) == 0


def test_joint_bootstrap_keeps_the_pairing():
    given_ = answers()
    drawn = resample_joint_means(given_, VARIANTS, ["p1"], resamples=4000, seed=0)
    scores = given_.correct["p1"].to_numpy()
    assert drawn.mean(axis=0) == pytest.approx(scores.mean(axis=0), abs=0.003)
    assert np.cov(drawn.T) == pytest.approx(np.cov(scores.T, bias=True) / len(scores), rel=0.12, abs=1e-5)
    again = resample_joint_means(given_, VARIANTS, ["p1"], resamples=4000, seed=0)
    assert (drawn == again).all()
    fewer = resample_joint_means(given_, VARIANTS[:2], ["p1"], resamples=4000, seed=0)
    assert (fewer == drawn[:, :2]).all()  # another variant leaves the others' draws alone


def test_joint_bootstrap_of_clusters():
    given_ = answers()
    frame = pd.DataFrame(np.repeat(given_.correct["p1"].to_numpy()[:50], 4, axis=0), columns=VARIANTS)
    codes = np.repeat(np.arange(50), 4)
    whole = ScoreMatrix({"p1": frame}, {"p1": codes}, {"p1": "perception"})
    alone = ScoreMatrix({"p1": frame}, {"p1": None}, {"p1": "perception"})
    spread = [
        resample_joint_means(a, VARIANTS, ["p1"], resamples=3000, seed=0).std(axis=0) for a in (whole, alone)
    ]
    assert spread[0] / spread[1] == pytest.approx(2, rel=0.1)


def test_rows():
    rows = build_pareto_rows(STUDY, answers()).set_index("variant")
    assert rows["front"].to_dict() == {
        "vlm": True,
        "good": True,
        "greedy": True,
        "bad": False,
        ALL_VARIANTS: "",
    }
    assert rows.loc["bad", "front_share"] == 0 and rows.loc["greedy", "front_share"] > 0.99
    assert rows.loc["bad", "hypervolume"] == 0 and rows.loc["greedy", "hypervolume"] > 0
    whole = rows.loc[ALL_VARIANTS]
    assert whole["hypervolume_low"] < whole["hypervolume"] < whole["hypervolume_high"]
    assert rows.loc[VARIANTS, "correlation"].abs().max() < 0.15  # other questions on the other axis
    for axis in ("perception", "reasoning"):
        own = rows.loc[VARIANTS]
        assert (own[f"{axis}_low"] < own[axis]).all() and (own[axis] < own[f"{axis}_high"]).all()


def test_budget_is_the_test_of_the_flips():
    given_ = answers()
    rows = build_pareto_rows(STUDY, given_).set_index("variant")
    for variant in VARIANTS[1:]:
        changes = [given_.correct[b][variant] - given_.correct[b]["vlm"] for b in ("p1", "p2")]
        sums = [Changes((c > 0).sum(), (c < 0).sum(), len(c)) for c in changes]
        assert rows.loc[variant, "p"] == pytest.approx(non_inferiority(sums, 0.02), abs=1e-12)
        assert rows.loc[variant, "loss"] == pytest.approx(-np.mean([c.mean() for c in changes]))
    tested = rows.loc[VARIANTS[1:]]
    assert tested["p_holm"].tolist() == pytest.approx(holm(tested["p"]))
    assert rows.loc["good", "kept"] and not rows.loc["greedy", "kept"]
    assert np.isnan(rows.loc["vlm", "p"]) and rows.loc["vlm", "kept"] == ""


def test_the_margin_is_the_configs():
    strict = study_of(CONFIG | {"selection": {"perception_budget": 0.02, "margin": 0.001}})
    loose = study_of(CONFIG | {"selection": {"perception_budget": 0.3}})
    p = [build_pareto_rows(s, answers()).set_index("variant")["p"] for s in (strict, loose)]
    assert p[0]["good"] > 0.05 and p[1]["greedy"] < 0.05


def test_all_right_still_has_a_spread():
    given_ = answers()
    given_.correct["p1"]["vlm"] = given_.correct["p2"]["vlm"] = 1.0
    assert build_pareto_rows(STUDY, given_).set_index("variant").loc["vlm", "perception_sd"] > 0


def test_without_an_axis_there_is_no_trade_off():
    given_ = answers()
    one = ScoreMatrix({"r": given_.correct["r"]}, {"r": None}, {"r": "reasoning"})
    assert build_pareto_rows(STUDY, one).empty
