"""The adapter: prompts, metrics, and the traps of VLMEvalKit that it has to step around."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.questions import reading
from benchmarks.questions.miniature import make_rows
from benchmarks.registry import vlmevalkit_package
from benchmarks.registry.lookup import find
from benchmarks.scoring import evaluation, expected
from benchmarks.vlmevalkit import loading
from frism.errors import UserError
from tests.benchmarks.conftest import QUESTIONS


def truth(folder: Path, name: str) -> list[str]:
    return [item.answer for item in reading.load_items(folder, "test", name)[name]]


def scores(folder: Path, name: str, texts: list[str]) -> list[float]:
    return evaluation.evaluate(find(name), folder / "test", texts).scores


@pytest.mark.parametrize("name", ["mini_number", "mini_existence", "mini_total"])
def test_right_answers_score_one_and_wrong_ones_zero(items_folder: Path, name: str) -> None:
    right = truth(items_folder, name)
    found = evaluation.evaluate(find(name), items_folder / "test", right)
    assert found.scores == [1.0] * QUESTIONS and found.totals["Overall"] == 100
    assert scores(items_folder, name, ["NA"] * QUESTIONS) == [0.0] * QUESTIONS
    missing = [e.phrase(None) for e in expected.describe_answers(find(name), items_folder / "test")]
    some = evaluation.evaluate(find(name), items_folder / "test", [*right[:3], *missing[3:]])
    assert some.scores == [1.0] * 3 + [0.0] * (QUESTIONS - 3)
    assert some.totals["Overall"] == pytest.approx(30)


def test_style_counts_for_the_raw_text_only(items_folder: Path) -> None:
    """What VLMEvalKit makes of a right answer at the end of its steps."""
    worked = [f"red one . Answer {answer}" for answer in truth(items_folder, "mini_total")]
    assert sum(scores(items_folder, "mini_total", worked)) == 0
    doubtful = ["There is no doubt . yes" for _ in range(QUESTIONS)]
    assert sum(scores(items_folder, "mini_existence", doubtful)) == 0


def test_texts_stay_texts(items_folder: Path) -> None:
    """pandas would read these as numbers or as nothing, and xlsx cut or compute them."""
    odd = ["007", "nan", "", "None", "=1+1", 'a\tb\n"c"', "x" * 40_000, "1e5", "true", "null"]
    assert scores(items_folder, "mini_number", odd) == [0.0] * QUESTIONS


def test_a_second_scoring_does_not_reuse_the_first(items_folder: Path) -> None:
    assert sum(scores(items_folder, "mini_existence", ["maybe"] * QUESTIONS)) == 0
    assert sum(scores(items_folder, "mini_existence", truth(items_folder, "mini_existence"))) == QUESTIONS


def test_prompts_are_pictures_and_the_question_without_another_request(items_folder: Path) -> None:
    dataset = loading.build_dataset(find("mini_total"), items_folder / "test")
    expected = make_rows(find("mini_total"), "test", QUESTIONS)
    for (_, line), row in zip(dataset.data.iterrows(), expected, strict=True):
        message = dataset.build_prompt(line)
        assert [part["type"] for part in message] == ["image", "text"]
        assert message[1]["value"] == row.question
        assert (str(line["index"]), str(line["answer"])) == (str(row.index), row.answer)


def test_the_metric_must_be_the_declared_one(items_folder: Path) -> None:
    renamed = find("mini_number").model_copy(update={"metric": "relaxed_accuracy"})
    with pytest.raises(UserError, match="by accuracy, not by relaxed_accuracy"):
        evaluation.evaluate(renamed, items_folder / "test", ["x"] * QUESTIONS)


def test_bad_input_is_named(items_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MiniatureGQA_total\.tsv is missing"):
        loading.build_dataset(find("mini_total"), tmp_path)
    with pytest.raises(UserError, match="Did you mean 'ImageVQADataset'"):
        loading.load_dataset_class("ImageVQADatset")
    with pytest.raises(UserError, match="3 answers for 10 questions"):
        evaluation.evaluate(find("mini_total"), items_folder / "test", ["x"] * 3)


def test_a_changed_table_of_a_known_name_is_not_replaced(tmp_path: Path, items_folder: Path) -> None:
    """VLMEvalKit downloads over a file called POPE.tsv whose checksum is not the one it knows."""
    source = items_folder / "test" / "MiniatureYesNo_existence.tsv"
    (tmp_path / "POPE.tsv").write_bytes(source.read_bytes())
    definition = find("mini_existence").model_copy(update={"dataset": "POPE"})
    assert len(loading.build_dataset(definition, tmp_path).data) == QUESTIONS
    assert (tmp_path / "POPE.tsv").read_bytes() == source.read_bytes()
    assert "LMUData" not in os.environ


def test_scoring_leaves_the_process_as_it_was(
    items_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing stays replaced, nothing is written, nothing is printed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the common one belongs to other tests, too
    module = sys.modules[loading.load_dataset_class("ImageVQADataset").evaluate.__module__]  # type: ignore[attr-defined]
    before, environment = dict(vars(module)), dict(os.environ)
    scores(items_folder, "mini_number", ["x"] * QUESTIONS)
    assert dict(vars(module)) == before and dict(os.environ) == environment
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_the_hash_is_of_every_file() -> None:
    assert len(vlmevalkit_package.hash_installation()) == 16


def test_it_loads_no_model_code() -> None:
    """Seconds of import per scoring job, and side effects on the whole process."""
    code = (
        "import sys, ssl; from benchmarks.vlmevalkit.loading import load_dataset_class as load;"
        "load('ImageYORNDataset');"
        "assert 'torch' not in sys.modules and 'vlmeval.vlm' not in sys.modules;"
        "assert ssl._create_default_https_context is not ssl._create_unverified_context"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
