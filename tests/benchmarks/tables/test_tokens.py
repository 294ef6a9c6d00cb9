"""Scores beside tokens: means, intervals, the front of few tokens."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.figures import tokens as figure
from benchmarks.stages.tables import build
from benchmarks.study.compared import Runs
from benchmarks.study.report_settings import StatisticsSettings
from benchmarks.tables.score_matrix import ScoreMatrix
from benchmarks.tables.tokens import build_token_rows
from tests.support.studies import study_of
from tests.support.synthetic_study import config, make

SUITES = ["mini_number", "mini_count", "mini_total", "mini_net"]


def measure(lengths: dict[str, list[float]], correct: dict[str, list[float]]) -> pd.DataFrame:
    """The table of runs of one benchmark, with these lengths and scores."""
    frame = pd.concat(
        pd.DataFrame(
            {
                "variant": name, "benchmark": "b", "index": [str(i) for i in range(len(tokens))],
                "heading": "reasoning", "tokens": tokens, "correct": correct[name],
                "truncated": [True] + [False] * (len(tokens) - 1), "repeated": False,
            }
        )
        for name, tokens in lengths.items()
    )  # fmt: skip
    runs = Runs(tuple(lengths), next(iter(lengths)), ("b",), statistics=StatisticsSettings(resamples=400))
    return build_token_rows(runs, (ScoreMatrix.of(frame, ["b"]), frame, frame)).set_index("variant")


def test_the_front_has_whoever_no_other_beats_with_fewer_tokens() -> None:
    n = 40
    scores = {"short": 10, "long": 30, "worse": 10, "wordy": 30, "same": 10}
    sizes = {"short": 5, "long": 50, "worse": 20, "wordy": 90, "same": 5}
    found = measure(
        {name: [float(size)] * n for name, size in sizes.items()},
        {name: [1.0] * right + [0.0] * (n - right) for name, right in scores.items()},
    )
    assert found["front"].to_dict() == {
        "short": True, "long": True, "worse": False, "wordy": False, "same": True,
    }  # fmt: skip
    assert found["tokens"].to_dict() == sizes and found.loc["long", "score"] == 0.75
    assert found.loc["short", ["tokens_low", "tokens_high"]].tolist() == [5, 5]
    assert found.loc["worse", "front_share"] == 0 and found.loc["long", "front_share"] == 1
    assert found["truncated"].tolist() == [1 / n] * 5 and (found["repeated"] == 0).all()


def test_intervals_of_lengths_cover() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(60):
        drawn = {name: list(rng.lognormal(3, 0.6, 60)) for name in "ab"}
        found = measure(drawn, {name: [1.0] * 30 + [0.0] * 30 for name in "ab"})
        hits += ((found["tokens_low"] <= np.exp(3.18)) & (found["tokens_high"] >= np.exp(3.18))).sum()
    assert 0.86 < hits / 120 < 0.99


def test_an_unknown_length_leaves_its_group_out() -> None:
    assert measure({"a": [1.0, np.nan], "b": [1.0, 2.0]}, {"a": [1.0, 0.0], "b": [1.0, 0.0]}).empty


def test_a_studys_table_agrees_with_axes_and_style(tmp_path: Path) -> None:
    whole = config(benchmarks=SUITES, text=["mini_total"], statistics={"confidence": 0.95, "resamples": 100})
    whole["variants"] = {v: whole["variants"][v] for v in ("vlm", "inject", "frism")}
    study = study_of(whole)
    build(make(tmp_path, whole, n=50, n_dev=30), study, tmp_path / "tables")
    rows, axes, style = (
        pd.read_csv(tmp_path / "tables" / f"{name}.csv").set_index(["variant", "group"])
        for name in ("tokens", "axes", "style")
    )
    assert list(dict.fromkeys(rows.index.get_level_values("group"))) == ["perception", "reasoning", "text"]
    for place, row in rows.iterrows():
        assert (
            row[["n", "score", "low", "high"]].tolist()
            == axes.loc[place, ["n", "score", "low", "high"]].tolist()
        )
        assert row["tokens_low"] <= row["tokens"] <= row["tokens_high"]
        if place[1] != "text":
            assert row["tokens"] == pytest.approx(style.loc[place, "tokens_mean"], abs=0.01)
            assert row["truncated"] == style.loc[place, "truncated"]
    drawn = figure.draw(study, pd.read_csv(tmp_path / "tables" / "tokens.csv"), tmp_path / "figures")
    assert [ax.get_ylabel() for ax in drawn.axes] == ["reasoning (mean score)", "perception (mean score)"]
    reasoning = pd.read_csv(tmp_path / "tables" / "tokens.csv").query("group == 'reasoning'")
    steps = figure.find_steps(reasoning)
    assert steps["tokens"].is_monotonic_increasing and steps["score"].is_monotonic_increasing
    nothing = figure.draw(study, reasoning.iloc[:0], tmp_path / "figures")
    assert "not known" in nothing.axes[0].texts[0].get_text()
