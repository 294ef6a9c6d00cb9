"""The noise floor: one variant asked twice, in two orders, and what differs counted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.answering.answer import predict
from benchmarks.answering.predictions import StoredPrediction, compute_checksum, read_predictions
from benchmarks.questions import reading
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.tools.noise_floor import main
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import SUITES, invoke, refused
from tests.support.studies import record

ENGINE = {"name": "transformers", "batch_size": 4, "max_new_tokens": 6}


@pytest.fixture
def study(triple: Triple, triple_settings: dict[str, str], items_folder: Path, tmp_path: Path) -> Path:
    """A study whose one variant has answered the test questions."""
    path = record(
        tmp_path / "study",
        {"triple": triple_settings, "engine": ENGINE, "benchmarks": SUITES[:2],
         "variants": {"vlm": {"method": "vlm"}}},
    )  # fmt: skip
    layout = Layout.beside(path)
    shutil.copytree(items_folder, layout.items())
    recipe = Recipe.make(triple, "vlm")
    recipe.save(layout.variant("vlm"))
    asked = reading.load_items(layout.items(), "test", SUITES[:2])
    settings = StudyConfig.read(path).engine
    predict(triple, recipe, {}, asked, settings, layout.items(), layout.predictions("vlm"))
    return path


def measure(study: Path) -> dict:
    done = invoke(main, "--study", study, "--variant", "vlm")
    assert done.exit_code == 0, done.output
    return json.loads(Layout.beside(study).noise("vlm").read_text())


def test_on_a_cpu_there_is_none_and_a_changed_answer_is_one(study: Path) -> None:
    found = measure(study)
    assert (found["n"], found["answers"], found["scores"]) == (20, 0, 0)
    stored = Layout.beside(study).predictions("vlm")
    lines = read_predictions(stored)
    other = replace(lines[3], raw="something else, and wrong")
    lines[3] = replace(other, sum=compute_checksum(vars(other)))
    stored.write_text("".join(map(StoredPrediction.text, lines)))
    again = measure(study)
    assert again["answers"] == 1 and again["benchmarks"][lines[3].benchmark]["answers"] == 1


def test_before_the_study_has_answers_it_says_so(study: Path) -> None:
    Layout.beside(study).predictions("vlm").unlink()
    done = invoke(main, "--study", study, "--variant", "vlm")
    assert refused(done, "vlm.jsonl is missing: run the study first")
