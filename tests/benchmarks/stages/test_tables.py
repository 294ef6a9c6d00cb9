"""Tables from a results folder: numbers, bytes, and bad input."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.scoring import answer_csv
from benchmarks.stages.tables import build
from benchmarks.statistics.comparison import Stratum
from benchmarks.statistics.paired_tests import holm, mcnemar, non_inferiority
from benchmarks.study import results as study
from frism.errors import UserError
from tests.support.studies import record, study_of
from tests.support.synthetic_study import config, make

SUITES = ["mini_number", "mini_count", "mini_add", "mini_total", "mini_net", "mini_total_unasked"]

NAMES = ["axes", "benchmarks", "contrasts", "flips", "judges", "official", "oracle", "pareto", "published",
         "selection", "style", "text", "tied", "tokens"]  # fmt: skip


@pytest.fixture(scope="module")
def settings():
    few = ["vlm", "inject", "layer_swap", "frism", "frism_uniform", "frism_shuffled"]
    whole = config(
        benchmarks=SUITES, text=["mini_total", "mini_net"], statistics={"confidence": 0.95, "resamples": 200}
    )
    return whole | {"variants": {v: whole["variants"][v] for v in few}}


@pytest.fixture(scope="module")
def results(tmp_path_factory, settings):
    folder = make(tmp_path_factory.mktemp("study"), settings, n=80, n_dev=40)
    build(folder, study_of(settings), folder / "tables")
    return folder


@pytest.fixture
def own(results, tmp_path):
    return shutil.copytree(results, tmp_path / "own")


def table(results, name):
    return pd.read_csv(results / "tables" / f"{name}.csv")


def test_every_table_in_both_forms(results):
    for name in [*NAMES, "costs"]:
        assert (results / "tables" / f"{name}.csv").stat().st_size
        assert (results / "tables" / f"{name}.md").read_text().startswith("# ")


def test_benchmarks_are_the_counts(results, settings):
    rows = table(results, "benchmarks").set_index(["variant", "benchmark"])
    assert len(rows) == len(settings["variants"]) * len(SUITES)
    scores = {v: pd.read_csv(results / "scores" / f"{v}.csv") for v in ("vlm", "inject")}
    for benchmark in ("mini_total", "mini_count"):
        a, b = (
            scores[v].set_index("benchmark").loc[benchmark, "correct"].to_numpy() for v in ("inject", "vlm")
        )
        row = rows.loc[("inject", benchmark)]
        assert row["n"] == 80 and row["score"] == pytest.approx(a.mean(), abs=1e-4)
        assert (row["gained"], row["lost"]) == ((a > b).sum(), (a < b).sum())
        assert row["p"] == pytest.approx(mcnemar(int((a > b).sum()), int((a < b).sum())), rel=1e-3)
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert rows.loc["vlm"]["p"].isna().all()
    assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"]), rel=1e-3, nan_ok=True)


def test_axes_average_their_benchmarks(results, settings):
    axes, benchmarks = table(results, "axes"), table(results, "benchmarks")
    assert list(axes.loc[axes["variant"] == "vlm", "group"]) == [
        "perception", "reasoning", "short chains", "unasked", "text",
    ]  # fmt: skip
    keyed = axes.set_index(["variant", "group"])
    for (variant, group), rows in benchmarks.groupby(["variant", "group"]):
        row = keyed.loc[(variant, group)]
        assert row["benchmarks"] == len(rows) and row["n"] == rows["n"].sum()
        assert row["score"] == pytest.approx(rows["score"].mean(), abs=2e-4)
        if variant != "vlm":
            assert (row["gained"], row["lost"]) == (rows["gained"].sum(), rows["lost"].sum())
            assert row["retention"] == pytest.approx(
                row["score"] / (row["score"] - row["difference"]), abs=5e-3
            )
    parents = axes[axes["variant"].isin(["base", "lrm"])]
    assert list(parents["group"]) == ["text", "text"] and parents["p"].isna().all()


def test_contrasts_follow_from_the_config(results):
    rows = table(results, "contrasts")
    assert set(zip(rows["variant"], rows["against"], rows["kind"], strict=True)) == {
        ("frism", "frism_uniform", "control"),
        ("frism", "frism_shuffled", "control"),
        ("frism", "inject", "plain injection"),
    }
    assert (rows["difference"] - (rows["score"] - rows["other"])).abs().max() < 2e-4


def test_selection_marks_one_point_a_variant(results, settings):
    rows = table(results, "selection")
    for variant, own in rows.groupby("variant"):
        choice = json.loads((results / "variants" / variant / "choice.json").read_text())
        chosen = own[own["chosen"] == "yes"]
        assert list(chosen["point"]) == [choice["point"]]
        assert json.loads(chosen["params"].iloc[0]) == choice["params"]
    assert (rows["perception_n"] == 80).all()


def test_style_counts_failures(results):
    style = table(results, "style").query("variant == 'inject'")
    scores = pd.read_csv(results / "scores" / "inject.csv", keep_default_na=False)
    assert style["n"].sum() == len(scores)
    failed = (style["not_extracted"] * style["n"]).sum()
    assert failed == pytest.approx((scores["extracted"] == "").sum(), abs=0.2)
    assert (style["tokens_mean"] > 0).all() and (style["score_raw"] <= style["score"] + 1e-9).all()


def test_same_scores_same_bytes_whatever_their_order(results, settings, tmp_path):
    shuffled = shutil.copytree(results, tmp_path / "again")
    shutil.rmtree(shuffled / "tables")
    for path in (shuffled / "scores").glob("*.csv"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame.sample(frac=1, random_state=0).to_csv(path, index=False)
    build(shuffled, study_of(settings), shuffled / "tables")
    for name in NAMES:
        for end in ("csv", "md"):
            first, second = (f / "tables" / f"{name}.{end}" for f in (results, shuffled))
            assert first.read_bytes() == second.read_bytes(), f"{name}.{end}"


def test_another_variant_leaves_the_others_intervals_alone(results, settings, own):
    fewer = settings | {"variants": {v: s for v, s in settings["variants"].items() if v != "layer_swap"}}
    build(own, study_of(fewer), own / "tables")
    columns = ["score", "low", "high", "difference", "difference_low", "difference_high", "p"]
    before = table(results, "axes").query("variant != 'layer_swap'").reset_index(drop=True)
    pd.testing.assert_frame_equal(before[columns], table(own, "axes")[columns])


def rewrite(results, change):
    """Change the scores of every variant."""
    for path in (results / "scores").glob("[!.]*.csv"):
        if not path.name.endswith(".cost.csv"):
            change(pd.read_csv(path, keep_default_na=False)).to_csv(path, index=False)


def test_clusters_and_fractions_are_taken(results, settings, own):
    rewrite(own, lambda frame: frame.assign(cluster=frame["index"] // 4, correct=frame["correct"] * 0.5))
    build(own, study_of(settings), own / "tables")
    assert table(own, "benchmarks")["score"].max() <= 0.5


def test_an_empty_cluster_column_changes_nothing(results, settings, own):
    rewrite(own, lambda frame: frame.assign(cluster=""))
    build(own, study_of(settings), own / "tables")
    for name in ("benchmarks", "axes", "tied", "pareto"):
        assert (own / "tables" / f"{name}.csv").read_bytes() == (
            results / "tables" / f"{name}.csv"
        ).read_bytes()


def test_clusters_widen_where_answers_go_together(results, settings, own):
    # Every question four times over: the same shares, and no more evidence than before.
    def repeated(frame):
        copies = [frame.assign(index=frame["index"] + 1000 * k, cluster=frame["index"]) for k in range(4)]
        return pd.concat(copies, ignore_index=True)

    rewrite(own, repeated)
    build(own, study_of(settings | {"text": []}), own / "tables")
    before, after = (table(r, "benchmarks").set_index(["variant", "benchmark"]) for r in (results, own))
    pd.testing.assert_series_equal(before["score"], after["score"])
    pd.testing.assert_series_equal(before["p"], after["p"], check_exact=False, rtol=2e-3)
    assert (after["n"] == 4 * before["n"]).all() and (after["gained"] == 4 * before["gained"]).sum() > 5
    width = [(f["high"] - f["low"]) for f in (before, after)]
    assert (width[1] / width[0]).median() == pytest.approx(1, abs=0.1)


def test_tied_stands_in_for_bold_maxima(results, settings):
    rows = table(results, "tied")
    assert set(rows["over"]) == {"group", "benchmark"}
    for _, own in rows.groupby(["over", "name"]):
        assert own["score"].is_monotonic_decreasing and own["tied_with_best"].iloc[0] == "yes"
        assert len(own) == len(settings["variants"])
    text = (results / "tables" / "tied.md").read_text()
    assert "| **" in text and "(75 tests)" in text and "(90 tests)" in text


def test_pareto_tests_the_budget(results, settings):
    rows = table(results, "pareto").set_index("variant")
    suites = ["mini_number", "mini_count"]
    scores = {
        v: pd.read_csv(results / "scores" / f"{v}.csv").set_index("benchmark") for v in ("vlm", "frism")
    }
    strata = [
        Stratum(*(scores[v].loc[b, "correct"].to_numpy(float) for v in ("frism", "vlm"))).summed()
        for b in suites
    ]
    assert rows.loc["frism", "p"] == pytest.approx(non_inferiority(strata, 0.02), rel=1e-3)
    assert rows.loc["frism", "margin"] == 0.02 and list(rows.index)[-1] == "all variants"
    axes = table(results, "axes").set_index(["variant", "group"])
    assert rows.loc["frism", "reasoning"] == axes.loc[("frism", "reasoning"), "score"]


def test_flips_are_the_counted_ones(results):
    flips, rows = table(results, "flips"), table(results, "benchmarks").set_index(["variant", "benchmark"])
    counts = flips.groupby(["variant", "benchmark"])["flip"].value_counts().unstack(fill_value=0)
    for key, row in counts.iterrows():
        assert (row["gained"], row["lost"]) == tuple(rows.loc[key, ["gained", "lost"]])
    assert len(flips) == rows["gained"].sum() + rows["lost"].sum()
    scores = {
        v: pd.read_csv(results / "scores" / f"{v}.csv", dtype={"index": str}) for v in ("vlm", "inject")
    }
    one = flips[flips["variant"] == "inject"].iloc[0]
    for variant, column in (("vlm", "reference_correct"), ("inject", "correct")):
        frame = scores[variant]
        row = frame[(frame["benchmark"] == one["benchmark"]) & (frame["index"] == str(one["index"]))]
        assert row["correct"].iloc[0] == one[column]
    assert (results / "tables" / "flips.md").read_text().count("\n") < 50


def test_awkward_answers_stay_one_flip(settings, own):
    path = own / "scores" / "inject.csv"
    frame = pd.read_csv(path, keep_default_na=False).assign(extracted='a,"b\rc')
    frame.to_csv(path, index=False, quoting=1)
    build(own, study_of(settings), own / "tables")
    flips = table(own, "flips").query("variant == 'inject'")
    assert len(flips) and flips["extracted"].eq('a,"b\rc').all()


def test_costs_are_added_up(results, settings, own):
    folder = own / "costs" / "predict"
    folder.mkdir(parents=True)
    (folder / "inject.tsv").write_text("s\th:m:s\tmax_rss\n53.5\t0:00:53\t1085.95\n")
    build(own, study_of(settings), own / "tables")
    rows = table(own, "costs").set_index("variant")
    scores = pd.read_csv(own / "scores" / "inject.csv")
    row = rows.loc["inject"]
    assert row["tokens"] == scores["tokens"].sum() and row["seconds"] == pytest.approx(0.01 * len(scores))
    assert row["tokens_per_answer"] == pytest.approx(scores["tokens"].mean(), abs=0.01)
    assert (row["wall_seconds"], row["peak_memory_mib"]) == (53.5, 1085.95)
    assert rows.loc["vlm", ["wall_seconds", "tune_seconds", "peak_memory_mib"]].isna().all()


def test_official_totals_stand_side_by_side(settings, own):
    totals = {"mini_total": {"extracted": {"Overall": 0.5, "note": "x"}, "raw": {"Overall": 0.25}}}
    totals["mini_total"]["judge"] = {"Overall": 0.75}
    (own / "scores" / "inject.official.json").write_text(json.dumps(totals))
    build(own, study_of(settings), own / "tables")
    rows = table(own, "official").set_index("metric")
    assert rows.loc["Overall", ["variant", "extracted_total", "raw_total", "judge_total"]].tolist() == [
        "inject",
        "0.5000",
        0.25,
        0.75,
    ]
    assert rows.loc["note", "extracted_total"] == "x"
    (own / "scores" / "inject.official.json").write_text(json.dumps({"mini_total": {"extracted": {}}}))
    with pytest.raises(UserError, match=r"inject\.official\.json lacks the raw totals of mini_total"):
        build(own, study_of(settings), own / "tables")


def test_judges_are_compared(settings, own):
    def judged(frame):
        return frame.assign(
            correct_judge=np.where(frame.index % 10 == 0, 1 - frame["correct"], frame["correct"])
        )

    rewrite(own, judged)
    build(own, study_of(settings), own / "tables")
    rows = table(own, "judges")
    everyone = rows[rows["variant"] == "all"]
    assert list(everyone["benchmark"]) == SUITES and (everyone["n"] == 80 * len(settings["variants"])).all()
    assert everyone["agreement"].to_numpy() == pytest.approx(0.9, abs=1e-4)
    assert (everyone["kappa_low"] < everyone["kappa"]).all()


def test_benchmarks_named_by_mappings(results, settings, tmp_path):
    mapped = settings | {"benchmarks": [{"name": SUITES[0], "axis": "perception"}, *SUITES[1:]]}
    build(results, study_of(mapped), tmp_path)
    assert (tmp_path / "axes.csv").read_bytes() == (results / "tables" / "axes.csv").read_bytes()


def test_only_the_reference(settings, own):
    alone = settings | {"variants": {"vlm": {"method": "vlm"}}, "text": []}
    build(own, study_of(alone), own / "tables")
    assert table(own, "axes")["difference"].isna().all()
    assert table(own, "contrasts").empty and table(own, "text").empty and table(own, "flips").empty
    assert table(own, "tied")["tied_with_best"].eq("yes").all()


def test_unequal_questions_are_refused(settings, own):
    path = own / "scores" / "inject.csv"
    pd.read_csv(path, keep_default_na=False).iloc[:-1].to_csv(path, index=False)
    with pytest.raises(UserError, match=r"inject\.csv and .*vlm\.csv hold different questions"):
        build(own, study_of(settings), own / "tables")


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n"])
def test_a_broken_file_is_named(settings, own, content):
    path = own / "scores" / "inject.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=r"inject\.csv"):
        build(own, study_of(settings), own / "tables")


def test_command_line(results, settings, tmp_path):
    def command(study: Path) -> list[str | Path]:
        module = [sys.executable, "-m", "benchmarks.stages.tables"]
        return [*module, "--study", study, "--out", tmp_path / "tables"]

    subprocess.run(command(record(results, settings)), check=True)
    for name in NAMES:
        assert (tmp_path / "tables" / f"{name}.csv").read_bytes() == (
            results / "tables" / f"{name}.csv"
        ).read_bytes()
    damaged = tmp_path / "study.json"
    damaged.write_text('{"config": {"study": "x"}}')
    failed = subprocess.run(command(damaged), capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr == f"error: {damaged}: the key 'triple' is missing.\n"


def test_answers_with_any_line_break_stay_one_row(tmp_path: Path) -> None:
    rows = {
        "benchmark": "b",
        "axis": "perception",
        "group": "g",
        "index": ["0", "1"],
        "raw": ["a\rb", "c\nd"],
        "extracted": ["\r", None],
        "correct": 1.0,
        "correct_raw": 0.0,
        "truncated": False,
        "repeated": False,
        "tokens": 3,
    }
    answer_csv.write_csv(pd.DataFrame(rows), tmp_path / "v.csv")
    read = study._read_csv(tmp_path / "v.csv", study.SCORE_COLUMNS)
    assert read["correct"].tolist() == [1.0, 1.0]
    assert read["index"].tolist() == ["0", "1"]
    assert read["extracted"].isna().tolist() == [False, True]
