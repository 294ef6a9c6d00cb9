"""lm-eval's own sample files of a text task: written by its tracker, scored as the text column of a study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from benchmarks.answering.predictions import Prediction
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.results import read_run
from benchmarks.text import language_model
from benchmarks.text.ask import ask_questions
from benchmarks.text.models import find_model
from benchmarks.text.task_configs import find_task_folder
from benchmarks.text.tasks import make_tasks
from benchmarks.tools.import_predictions import main
from frism.triples.triple import Triple
from tests.benchmarks.conftest import invoke, refused
from tests.support import mirrors
from tests.support.foreign_files import write_lines, write_plain

TASKS = {"gsm8k": ("gsm8k/gsm8k.yaml", "openai/gsm8k/main"), "mmlu": ("mmlu/default/mmlu_anatomy.yaml", "cais/mmlu/all")}  # fmt: skip  # noqa: E501


class Scripted(LM):
    """Says what it is told to, question by question, sampled as often as asked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.texts = texts

    def generate_until(self, requests: Any) -> list[str]:
        return [self.texts[request.doc_id] for request in requests]

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        return [(-1.5 - i, False) for i, _ in enumerate(requests)]

    loglikelihood_rolling = loglikelihood


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    mirrors.gsm8k(folder)
    mirrors.mmlu(folder)
    return folder


def texts_of(right: Sequence[str]) -> list[str]:
    """Every other answer right, in words that a few-shot pattern does not know."""
    return [f"Let me see: 3 apples. The answer is **{a if i % 2 else '7'}**." for i, a in enumerate(right)]


def write_samples(name: str, mirror: Path, folder: Path, texts: Sequence[str], **changes: Any) -> Path:
    """Run lm-eval's task with its examples and filters; return the file that its tracker writes."""
    config, data = TASKS[name]
    files = sorted((mirror / data).glob("*.parquet"))
    splits = {path.name.split("-")[0]: str(path) for path in files}
    own = {"task": name, "dataset_path": "parquet", "dataset_name": None,
           "dataset_kwargs": {"data_files": splits}, "tag": None, **changes}  # fmt: skip
    task = ConfigurableTask(config={**load_yaml(find_task_folder() / config), **own})
    manager = TaskManager(include_defaults=False)
    result = evaluate(Scripted(texts), manager.load([task]), bootstrap_iters=0, log_samples=True)
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.model_name_sanitized = "model"
    tracker.date_id = "2026-11-29T05-00-00.000000"
    tracker.save_results_samples(name, result["samples"][name])
    return folder / f"model/samples_{name}_{tracker.date_id}.jsonl"


def run(file: Path, mirror: Path, out: Path, *options: str, benchmark: str = "gsm8k", label: str = "m"):
    where = ("--data", mirror, "--out", out)
    return invoke(main, file, "--benchmark", benchmark, "--as", label, *where, *options)


def test_lm_evals_samples_give_the_scores_of_the_text_column(
    mirror: Path, tmp_path: Path, triple: Triple, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = texts_of([str(1000 * i + 42) for i in range(6)])
    file = write_samples("gsm8k", mirror, tmp_path, texts)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 12 and {row["filter"] for row in rows} == {"strict-match", "flexible-extract"}
    result = run(file, mirror, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["n"], report["format"], report["score"]) == (6, "lm-eval samples", 0.5)
    assert report["reworded"] == []

    def answer(self: Any, batch: Any, asked: Any) -> list[Prediction]:
        keyed = zip(batch.items, batch.keys, strict=True)
        return [Prediction(item, key, texts[int(item.index)], 3, False, 0.1) for item, key in keyed]

    monkeypatch.setattr(language_model.JournalledLM, "_answer", answer)
    settings = EngineSettings(batch_size=8)
    study = ask_questions(
        find_model(triple, "lrm", None, settings), make_tasks([find("gsm8k")], None, 0, mirror), settings,
        tmp_path / "lrm.jsonl",
    )  # fmt: skip
    found = pd.read_csv(
        tmp_path / "out/gsm8k/scores/m.csv", dtype={"index": str, "answer": str, "extracted": str}
    )
    for column in ("index", "answer", "raw", "extracted", "rule", "correct", "correct_raw", "repeated"):
        assert found[column].tolist() == study[column].tolist(), column
    assert found[["truncated", "tokens"]].isna().all(axis=None)
    assert set(found["axis"]) == {"text"}


def test_plain_lines_and_a_subset_go_by_the_position_in_the_data(mirror: Path, tmp_path: Path) -> None:
    answers = {str(i): f"\\boxed{{{1000 * i + 42}}}" for i in range(6)}
    assert run(write_plain(tmp_path / "a.jsonl", answers), mirror, tmp_path / "out").exit_code == 0
    part = write_plain(tmp_path / "b.jsonl", {i: answers[i] for i in ("2", "5")})
    assert refused(
        run(part, mirror, tmp_path / "out", label="p"), "2 of 6 questions of gsm8k: 4 missing (0, 1,"
    )
    result = run(part, mirror, tmp_path / "out", "--subset", label="p")
    assert result.exit_code == 0 and "p: 2 of 6 questions of gsm8k" in result.stdout
    scores = read_run(tmp_path / "out/gsm8k/scores/p.csv")
    assert scores["index"].tolist() == ["2", "5"] and scores["correct"].tolist() == [1, 1]


def test_samples_of_other_questions_are_found_out(mirror: Path, tmp_path: Path) -> None:
    file = write_samples("gsm8k", mirror, tmp_path, ["7"] * 6)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        row["doc"]["question"] = f"Another number {row['doc_id']} altogether?"
        row["arguments"]["gen_args_0"]["arg_0"] = "Question: another?"
    assert refused(run(write_lines(file, rows), mirror, tmp_path / "out"), "asks other questions than gsm8k")


def test_options_compared_by_likelihood_are_refused(mirror: Path, tmp_path: Path) -> None:
    file = write_samples("mmlu", mirror, tmp_path, [], num_fewshot=0, fewshot_split=None, fewshot_config=None)
    complaint = "log-likelihoods of options: run the task as one that generates"
    assert refused(run(file, mirror, tmp_path / "out", benchmark="mmlu"), complaint)


def test_several_samples_of_a_question_are_said(mirror: Path, tmp_path: Path) -> None:
    file = write_samples("gsm8k", mirror, tmp_path, [f"So {1000 * i + 42}." for i in range(6)], repeats=3)
    result = run(file, mirror, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "sampled several times, of which the first counts" in result.stdout
