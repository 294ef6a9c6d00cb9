"""A study that names a third axis: chosen by, told in the first sentence, with the kind of its triple."""

import json
import math

import pandas as pd
import pytest

from benchmarks.stages import explain
from benchmarks.stages.summary import render
from benchmarks.stages.tables import build
from benchmarks.statistics.selection import choose
from benchmarks.tables.cell import TOWER, VISION, WORDS, judge
from frism.errors import UserError
from tests.support.studies import study_of
from tests.support.synthetic_study import config, make

SUITES = ["mini_number", "mini_add", "mini_reduce", "mini_total"]
BACK = {
    "put_back": {"method": "put_back", "params": {"of": "base"}, "scope": "mat+bias+norm"},
    "put_back_lrm": {"method": "put_back", "params": {"of": "lrm"}, "scope": "mat+bias+norm"},
}


def settings(**changes):
    whole = config(benchmarks=SUITES, text=["mini_total"], statistics={"confidence": 0.95, "resamples": 200})
    few = {name: whole["variants"][name] for name in ("vlm", "inject", "frism", "frism_uniform")}
    return whole | {"variants": few | BACK} | changes


def tabulate(folder, whole):
    study = study_of(whole)
    build(make(folder, whole, n=120, n_dev=60), study, folder / "tables")
    explain.build(folder, study, folder / "tables")
    return study, folder / "tables"


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    rule = {"perception_budget": 0.02, "third_axis": "short chains"}
    return tabulate(tmp_path_factory.mktemp("named"), settings(selection=rule, text_of="parents"))


def test_its_dev_scores_stand_beside_the_others_in_the_sweeps(named) -> None:
    _, tables = named
    selection = pd.read_csv(tables / "selection.csv")
    assert (selection["third_n"] == 120).all() and selection["third_low"].le(selection["third"]).all()
    strong, weak = (selection[selection["params"] == f'{{"strength": {s}}}'] for s in (1.0, 0.1))
    assert strong["third"].iloc[0] < weak["third"].iloc[0]
    assert "third is short chains, which chooses nothing" in (tables / "selection.md").read_text()


def test_the_summary_begins_with_all_three_axes(named) -> None:
    study, tables = named
    first = render(study, tables, []).split("\n\n")[1]
    assert first.startswith("Against `vlm`, on the same test questions: `frism` has ")
    axes = pd.read_csv(tables / "axes.csv").set_index(["variant", "group"])
    for variant in ("frism", "inject"):
        for group in ("reasoning", "perception", "short chains"):
            assert f"{axes.loc[(variant, group), 'difference']:+.3f} [" in first and f"in {group}" in first


def test_without_one_nothing_is_added(tmp_path) -> None:
    study, tables = tabulate(tmp_path, settings())
    assert "third" not in pd.read_csv(tables / "selection.csv")
    assert render(study, tables, []).split("\n\n")[1].startswith("Computed from the tables")


def test_the_kind_of_triple_is_the_counts(named) -> None:
    study, tables = named
    cell = pd.read_csv(tables / "cell.csv").set_index(["question", "group"])
    scores = {name: pd.read_csv(tables.parent / f"scores/{name}.csv") for name in ("vlm", *BACK)}

    def mean(name: str, group: str) -> float:
        rows = scores[name]
        return float(rows[rows["group"] == group].groupby("benchmark")["correct"].mean().mean())

    row = cell.loc[(VISION, "perception")]
    expected = mean("vlm", "perception") - mean("put_back", "perception")
    assert row["difference"] == pytest.approx(expected, abs=1e-4)
    row = cell.loc[(TOWER, "short chains")]
    expected = mean("put_back", "short chains") - mean("put_back_lrm", "short chains")
    assert row["difference"] == pytest.approx(expected, abs=1e-4)
    base, lrm = (pd.read_csv(tables.parent / f"text/{name}.csv") for name in ("base", "lrm"))
    row = cell.loc[(WORDS, "reasoning")]
    both = [frame[frame["benchmark"] == "mini_total"]["correct"].mean() for frame in (base, lrm)]
    assert row["difference"] == pytest.approx(both[0] - both[1], abs=1e-4)
    assert "### Which kind of triple is this?" in render(study, tables, [])


def test_where_the_parents_alone_answer_in_words_the_text_tables_are_empty(named) -> None:
    _, tables = named
    assert len(pd.read_csv(tables / "text.csv")) == 0
    assert "text" not in set(pd.read_csv(tables / "axes.csv")["group"])


def test_a_third_budget_takes_another_point(tmp_path) -> None:
    folder = make(tmp_path, settings(), n=10, n_dev=200)
    frames = {name: pd.read_csv(folder / f"variants/{name}/dev.csv") for name in ("vlm", "inject")}
    chosen = [
        choose(frames["inject"], frames["vlm"], budget=0.5, third=("short chains", budget))
        for budget in (None, 0.01, 1.0)
    ]
    assert chosen[0].point == chosen[2].point > chosen[1].point
    kept = [c for c in chosen[1].candidates if c.within_budget]
    assert all(c.third >= chosen[1].third["reference"] - 0.01 - 1e-9 for c in kept)
    assert "short chains at most 0.01" in chosen[1].rule and "short chains" not in chosen[0].rule
    content = chosen[1].to_dict()
    assert content["third"]["group"] == "short chains" and content["third"]["budget"] == 0.01
    assert json.loads(json.dumps(content)) == content


def test_where_no_point_keeps_both_budgets_the_least_excess_is_taken() -> None:
    def dev(*points):
        return pd.DataFrame(
            {"point": i, "params": "{}", "benchmark": axis, "axis": "other" if axis == "chains" else axis,
             "group": axis, "n": 100, "correct": hits}
            for i, point in enumerate(points)
            for axis, hits in zip(("perception", "reasoning", "chains"), point, strict=True)
        )  # fmt: skip

    vlm = dev((100, 10, 100))
    choice = choose(dev((97, 90, 50), (90, 20, 90), (94, 15, 40)), vlm, budget=0.02, third=("chains", 0.05))
    assert choice.budget_missed and choice.point == 1
    alone = choose(dev((97, 90, 50), (90, 20, 90)), vlm, budget=0.02, third=("chains", None))
    assert alone.point == 0 and "third" not in choose(dev((97, 90, 50)), vlm, budget=0.02).to_dict()
    with pytest.raises(UserError, match="no benchmark of the third axis 'chain'"):
        choose(dev((97, 90, 50)), vlm, budget=0.02, third=("chain", None))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.2, 0.3, "yes"), (0.01, 0.09, "no"), (0.05, 0.15, "unclear"), (math.nan, math.nan, "unclear")],
)
def test_a_verdict_needs_the_whole_interval(low, high, verdict) -> None:
    assert judge(low, high) == verdict
