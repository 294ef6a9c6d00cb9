"""Tables of a study whose questions were answered by several samples."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks.stages import explain
from benchmarks.stages.answers_table import SCHEMA, write_answers
from benchmarks.stages.summary import render
from benchmarks.stages.tables import build
from benchmarks.statistics.samples import majority_at_k, pass_at_k
from benchmarks.study.config import StudyConfig
from benchmarks.tools.foreign.runs import find_runs, pair_runs
from frism.errors import UserError
from tests.support.sampled_study import draw
from tests.support.studies import study_of
from tests.support.synthetic_study import config, make

SUITES = ["mini_number", "mini_count", "mini_total", "mini_net"]
VARIANTS = ["vlm", "inject", "frism", "frism_uniform"]
K = 3


def settings(samples: int | None) -> StudyConfig:
    whole = config(benchmarks=SUITES, text=["mini_total"], statistics={"confidence": 0.95, "resamples": 200})
    sampling = {"sampling": {"samples": samples}} if samples else {}
    engine = {"name": "transformers", "max_new_tokens": 48, **sampling}
    variants = {v: whole["variants"][v] for v in VARIANTS}
    return study_of(whole | {"variants": variants, "engine": engine})


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = config(benchmarks=SUITES, text=["mini_total"])
    whole["variants"] = {v: whole["variants"][v] for v in VARIANTS}
    folder = make(tmp_path_factory.mktemp("greedy"), whole, n=60, n_dev=30)
    build(folder, settings(None), folder / "tables")
    return folder


@pytest.fixture(scope="module")
def sampled(greedy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(greedy, tmp_path_factory.mktemp("sampled") / "study")
    draw(folder, K, seed=1)
    build(folder, settings(K), folder / "tables")
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def test_estimates_are_those_of_the_samples(sampled: Path) -> None:
    rows = table(sampled, "samples").set_index(["over", "name", "variant", "k"])
    scores = pd.read_csv(sampled / "scores" / "inject.csv", dtype={"index": str})
    own = scores[scores["benchmark"] == "mini_net"]
    correct = own["correct"].to_numpy(float).reshape(-1, K)
    said = own["vote"].to_numpy().reshape(-1, K)
    votes = [[None if pd.isna(vote) else vote for vote in row] for row in said]
    passed = pass_at_k(correct.sum(axis=1), K).mean(axis=0)
    voted = majority_at_k(votes, correct).mean(axis=0)
    for k in range(1, K + 1):
        row = rows.loc["benchmark", "mini_net", "inject", k]
        assert row["pass_at_k"] == pytest.approx(passed[k - 1], abs=1e-4)
        assert row["majority_at_k"] == pytest.approx(voted[k - 1], abs=1e-4)
        assert row["pass_at_k_low"] < row["pass_at_k"] < row["pass_at_k_high"]
    assert rows.loc["benchmark", "mini_net", "inject", 1]["pass_at_k"] == pytest.approx(
        correct.mean(), abs=1e-4
    )
    assert (table(sampled, "samples").groupby(["over", "name", "variant"]).size() == K).all()


def test_the_score_is_that_of_every_other_table(sampled: Path) -> None:
    rows = table(sampled, "samples")
    rows = rows[(rows["over"] == "group") & (rows["k"] == 1)].set_index(["name", "variant"])
    axes = table(sampled, "axes").set_index(["group", "variant"])
    assert len(rows) == 3 * len(VARIANTS)
    for place, row in rows.iterrows():
        columns = ["n", "score", "low", "high"]
        assert row[columns].tolist() == axes.loc[place, columns].tolist()


def test_paired_tests_work_on_question_means(sampled: Path) -> None:
    scores = {v: pd.read_csv(sampled / "scores" / f"{v}.csv") for v in ("vlm", "inject")}
    means = {v: frame.groupby(["benchmark", "index"])["correct"].mean() for v, frame in scores.items()}
    change = (means["inject"] - means["vlm"]).loc["mini_total"]
    row = table(sampled, "benchmarks").set_index(["variant", "benchmark"]).loc["inject", "mini_total"]
    assert row["n"] == 60 and row["difference"] == pytest.approx(change.mean(), abs=1e-4)
    assert (row["gained"], row["lost"]) == ((change > 1e-9).sum(), (change < -1e-9).sum())
    flips = table(sampled, "flips").query("variant == 'inject' and benchmark == 'mini_total'")
    assert len(flips) == row["gained"] + row["lost"]


def test_samples_that_are_all_alike_change_no_score_and_no_test(greedy: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(greedy, tmp_path / "alike")
    draw(folder, K, seed=None)
    build(folder, settings(K), folder / "tables")
    columns = ["n", "score", "difference", "p", "p_holm", "gained", "lost"]
    for name in ("axes", "benchmarks", "contrasts"):
        pd.testing.assert_frame_equal(table(folder, name)[columns], table(greedy, name)[columns])
    rows = table(folder, "samples")
    assert (rows["variance_within"] == 0).all()
    assert (rows["pass_at_k"] == rows["score"]).all() and (rows["majority_at_k"] == rows["score"]).all()
    style, before = table(folder, "style"), table(greedy, "style")
    assert (style["n"] == K * before["n"]).all()
    assert (style["truncated"] == before["truncated"]).all()


def test_the_table_is_there_only_for_samples(greedy: Path, tmp_path: Path) -> None:
    assert not (greedy / "tables" / "samples.csv").exists()
    folder = shutil.copytree(greedy, tmp_path / "once")
    (folder / "tables" / "samples.csv").write_text("of an earlier run\n")
    build(folder, settings(None), folder / "tables")
    assert not (folder / "tables" / "samples.csv").exists()


def test_legends_and_the_summary_say_how_answers_were_drawn(greedy: Path, sampled: Path) -> None:
    for folder, study in ((greedy, settings(None)), (sampled, settings(K))):
        explain.build(folder, study, folder / "tables")
    text = render(settings(K), sampled / "tables", [])
    assert "answered 3 times at temperature 0.6, top_p 0.95" in text and "exact sign-flip p" in text
    assert "3 samples" in (sampled / "tables" / "axes.md").read_text()
    assert "avg@3, pass@3, majority@3" in text
    plain = render(settings(None), greedy / "tables", [])
    assert "Several answers" not in plain and "exact McNemar p" in plain
    assert "samples" not in (greedy / "tables" / "axes.md").read_text()


def test_all_answers_are_in_the_one_table(greedy: Path, sampled: Path, tmp_path: Path) -> None:
    rows = write_answers(sampled, settings(K), tmp_path)
    found = pq.read_table(tmp_path / "questions.parquet")
    assert rows == len(found) == (len(VARIANTS) * len(SUITES) * 60 + (len(VARIANTS) + 2) * 60) * K
    assert found.schema.names[4:7] == ["index", "sample", "vote"]
    write_answers(greedy, settings(None), tmp_path)
    assert pq.read_schema(tmp_path / "questions.parquet").names == SCHEMA.names


def test_runs_of_samples_are_compared_by_their_means(greedy: Path, sampled: Path) -> None:
    files = [f"{name}={folder / 'scores' / 'inject.csv'}" for name, folder in (("a", greedy), ("b", sampled))]
    paired = pair_runs(find_runs(files), None)
    means = pd.read_csv(sampled / "scores" / "inject.csv").groupby("benchmark")["correct"].mean()
    own = paired.scores[paired.scores["variant"] == "b"]
    assert len(own) == 60 * len(SUITES)
    assert own.groupby("benchmark")["correct"].mean().to_dict() == pytest.approx(means.to_dict())


def test_a_variant_with_other_samples_is_named(sampled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sampled, tmp_path / "other")
    path = folder / "scores" / "frism.csv"
    frame = pd.read_csv(path)
    frame[frame["sample"] < K - 1].to_csv(path, index=False)
    with pytest.raises(UserError, match="other samples of question"):
        build(folder, settings(K), folder / "tables")
