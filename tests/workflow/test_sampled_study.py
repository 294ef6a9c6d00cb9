"""A study of the trained miniature with four samples per question, every stage in its own process."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import ROOT, Project

K = 4
STUDY = {
    "triple": {role: str(ROOT / "benchmarks/miniature/weights" / role) for role in ("base", "vlm", "lrm")},
    "engine": {
        "name": "transformers",
        "max_new_tokens": 24,
        "batch_size": 32,
        "sampling": {"samples": K, "temperature": 2.0},
    },
    "calibration": None,
    "benchmarks": ["mini_number", "mini_total"],
    "text": ["mini_total"],
    "questions": {"dev": 4, "test": 8},
    "statistics": {"resamples": 100},
    "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject", "params": {"strength": 0.5}}},
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory, new_project) -> Project:
    project = new_project(tmp_path_factory.mktemp("sampled"), **STUDY)
    run = project.run()
    assert run.returncode == 0, run.stdout
    return project


def test_every_question_has_its_samples_and_the_tables_say_so(finished: Project) -> None:
    results = finished.folder / "results/tiny"
    for variant in STUDY["variants"]:
        scores = pd.read_csv(results / f"scores/{variant}.csv")
        assert len(scores) == 2 * 8 * K and scores["sample"].tolist() == list(range(K)) * 16
        assert scores.groupby(["benchmark", "index"])["raw"].nunique().max() > 1, "samples differ"
        text = pd.read_csv(results / f"text/{variant}.csv")
        assert len(text) == 8 * K
        dev = (results / f"variants/{variant}/points/0/dev.jsonl").read_text()
        assert '"sample"' not in dev, "coefficients are chosen by greedy answers"
    rows = pd.read_csv(results / "tables/samples.csv")
    assert set(rows["name"]) == {
        "perception",
        "reasoning",
        "text",
        "mini_number",
        "mini_total",
        "mini_total (text)",
    }
    assert (rows["samples"] == K).all() and set(rows["k"]) == set(range(1, K + 1))
    assert (rows.groupby(["over", "name", "variant"])["pass_at_k"].is_monotonic_increasing).all()
    assert f"answered {K} times at temperature 2.0" in (results / "summary.md").read_text()
    answers = pd.read_parquet(results / "questions.parquet")
    assert len(answers) == 2 * 2 * 8 * K + 4 * 8 * K


def test_its_chain_is_verified_and_a_changed_answer_found(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "copy")
    holds = project.python("-m", "benchmarks.tools.verify", "results/tiny", "--json")
    assert holds.returncode == 0, holds.stdout
    assert json.loads(holds.stdout[holds.stdout.index("{") :])["holds"]
    path = project.folder / "results/tiny/predictions/inject.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    broken = project.python("-m", "benchmarks.tools.verify", "results/tiny", "--quick")
    assert broken.returncode == 1 and "lacks answer 3 to question" in broken.stdout


def test_there_is_nothing_left_to_do_and_more_samples_are_only_answers(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "copy")
    assert project.plan() == []
    project.configure(engine=STUDY["engine"] | {"sampling": {"samples": K + 1, "temperature": 2.0}})
    jobs = project.plan()
    assert jobs and not [job for job in jobs if job.startswith("Write the questions")]
