"""Known traps of evaluation harnesses: each shown to spring on the plain use of VLMEvalKit or lm-eval, and
shown not to spring here."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.answering.predictions import Prediction, StoredPrediction, open_store
from benchmarks.questions import reading, writing
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find
from benchmarks.scoring import evaluation
from benchmarks.scoring.chat_judge import ChatJudge
from benchmarks.stages.score import run
from benchmarks.study.engine_settings import EngineSettings as Engine
from benchmarks.study.judge_settings import JudgeSettings
from benchmarks.vlmevalkit import loading
from frism.errors import UserError
from frism.triples.triple import Triple
from tests.benchmarks.answering.test_predictions import prediction
from tests.support import tsvs
from tests.support.chat_server import served
from tests.support.styles import answered, extracted

Table = tuple[Path, Definition]


def table(name: str, folder: Path, n: int = 24) -> Table:
    path = tsvs.make(name, folder / "data", n)
    return path, find(tsvs.pinned(path))


@contextmanager
def plain(judge: Any = None, **environment: str) -> Iterator[None]:
    """VLMEvalKit as it comes, with a judge of ours in place of a paid one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        if judge is not None:
            module = sys.modules[loading.load_dataset_class("ImageMCQDataset").__module__]
            patch.setattr(module, "build_judge", lambda **_: judge)
        yield


def stock(found: Table, texts: list[str], file: Path, judge: str = "exact_matching") -> pd.DataFrame:
    """`dataset.evaluate` on a prediction file, as VLMEvalKit's own loop calls it."""
    path, definition = found
    dataset = loading.build_dataset(definition, path.parent)
    content = dataset.data.drop(columns="image").assign(prediction=texts)
    file.parent.mkdir(parents=True, exist_ok=True)
    from vlmeval.smp import dump

    dump(content, str(file))
    return dataset.evaluate(str(file), model=judge, nproc=1)


def ours(found: Table, texts: list[str]) -> float:
    path, definition = found
    scores = evaluation.evaluate(definition, path.parent, extracted(texts, path, definition)).scores
    return sum(scores) / len(scores)


def test_style_is_not_ability(tmp_path: Path) -> None:
    """Finding 2: all-right answers lose everything for the way in which they are written."""
    choice, yes_no = table("MMStar", tmp_path), table("POPE", tmp_path)
    sentence = "Let me think... First A is tempting. Therefore the final answer is {}."
    rows = tsvs.read(choice[0])
    options = ["B" if row["answer"] == "A" else row["answer"] for row in rows]
    path = choice[0]  # no right answer may be A, which the sentence names
    content = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).assign(answer=options)
    content.to_csv(path, sep="\t", index=False)
    choice = path, find(tsvs.pinned(path))
    with plain(PRED_FORMAT="tsv"):
        for number, form in enumerate([sentence, "<think>Is it A , or rather C ?</think> \\boxed{{{}}}"]):
            texts = [form.format(letter) for letter in options]
            assert stock(choice, texts, tmp_path / f"{number}" / "m_MMStar.tsv")["Overall"].tolist() == [0.0]
            assert ours(choice, texts) == 1
        texts = [
            f"There is no doubt. The final answer is {answer}" for answer in tsvs.right_answers(yes_no[0])
        ]
        found = stock(yes_no, texts, tmp_path / "m_POPE.tsv")
        assert found.loc[found["split"] == "Overall", "Overall"].tolist() == [0.0]
        assert ours(yes_no, texts) == 1


class Rambling:
    """A judge model that never says an option."""

    def working(self) -> bool:
        return True

    def generate(self, *_: Any, **__: Any) -> str:
        return "I would rather not say: A, B, C and D all have their points."


def test_chance_does_not_score(tmp_path: Path) -> None:
    """Finding 3: where the judge is unclear, VLMEvalKit draws an option."""
    found = table("MMStar", tmp_path)
    texts = answered(*found, "chain")
    drawn = set()
    with plain(Rambling(), PRED_FORMAT="tsv"):
        for seed in range(3):
            random.seed(seed)
            result = stock(found, texts, tmp_path / f"{seed}" / "m_MMStar.tsv", "rambling")
            drawn.add(float(result["Overall"].iloc[0]))
    assert len(drawn) > 1 or drawn.pop() not in (0, 1)
    assert ours(found, texts) == 1
    with served(lambda _: Rambling().generate()) as (address, _):
        judge = ChatJudge(JudgeSettings(address=address, model="m"), tmp_path / "replies.jsonl")
        scores = evaluation.evaluate(found[1], found[0].parent, texts, judge).scores
    assert scores == [0.0] * len(texts) and len(judge.unread) == len(texts)


@pytest.mark.parametrize("name", ["MMStar", "POPE"])
def test_old_scores_are_not_the_new_ones(tmp_path: Path, name: str) -> None:
    """Finding 4: result files beside the predictions are taken for theirs, whatever the predictions are."""
    found = table(name, tmp_path)
    right, wrong = tsvs.right_answers(found[0]), ["perhaps"] * 24
    with plain(PRED_FORMAT="tsv"):
        file = tmp_path / "work" / f"m_{name}.tsv"
        before = stock(found, wrong, file)
        after = stock(found, right, file)
        assert before["Overall"].tolist() == after["Overall"].tolist(), "VLMEvalKit's score does not move"
    assert ours(found, wrong) == 0 and ours(found, right) == 1


INFERENCE = """
import os, sys
os.environ["PRED_FORMAT"] = "tsv"
import vlmeval.dataset
from vlmeval.inference import infer_data_job
from vlmeval.vlm.base import BaseModel
from benchmarks.vlmevalkit import loading
from benchmarks.registry.lookup import find

class Constant(BaseModel):
    is_api = False
    def __init__(self, said):
        super().__init__()
        self.said = said
    def generate_inner(self, message, dataset=None):
        return self.said

definition = find({"name": "MMStar", "sha256": {}})
for said in "AB":
    infer_data_job(Constant(said), sys.argv[2], "model", loading.build_dataset(definition, sys.argv[1]))
"""


@pytest.mark.slow
def test_old_predictions_are_not_the_new_ones(tmp_path: Path) -> None:
    """Finding 5: predictions belong to a model's name, not to its weights."""
    path, _ = table("MMStar", tmp_path, 6)
    work = tmp_path / "work"
    work.mkdir()
    code = ["-c", INFERENCE, str(path.parent), str(work)]
    subprocess.run([sys.executable, *code], check=True, capture_output=True, cwd=tmp_path, env=_environment())
    kept = pd.read_csv(work / "model_MMStar.tsv", sep="\t")
    assert set(kept["prediction"]) == {"A"}, "the second model, which says B, was never asked"

    lines = tmp_path / "predictions.jsonl"
    with open_store(lines, ["of these weights"]) as store:
        store.append([prediction("of these weights")])
    with open_store(lines, ["of other weights"]) as store:
        assert not store.done and store.dropped == 1


@pytest.mark.slow
def test_a_failure_is_not_a_success(tmp_path: Path) -> None:
    """Finding 6: VLMEvalKit's program ends well although its only dataset failed."""
    path = tsvs.make("ChartQA_TEST", tmp_path / "data", 5).rename(tmp_path / "data" / "MyVQA.tsv")
    model = "Qwen2.5-VL-3B-Instruct"  # a name that it knows; scoring loads no model
    work = tmp_path / "work" / model
    work.mkdir(parents=True)
    content = pd.read_csv(path, sep="\t").drop(columns="image").assign(prediction="x")
    content.to_csv(work / f"{model}_MyVQA.tsv", sep="\t", index=False)
    program = [sys.executable, "-m", "vlmeval", "--data", "MyVQA", "--model", model, "--mode", "eval",
               "--work-dir", str(tmp_path / "work"), "--judge", "exact_matching"]  # fmt: skip
    environment = _environment() | {"LMUData": str(path.parent), "PRED_FORMAT": "tsv"}
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "NotImplementedError" in done.stdout + done.stderr
    assert done.returncode == 0, "nobody is told"

    folder, predictions = tmp_path / "items", tmp_path / "v.jsonl"
    definition = find({"name": "MyVQA", "axis": "perception", "class": "CustomVQADataset"})
    writing.write_items(folder, [definition], {"test": "all"}, data=path.parent)
    asked = reading.load_items(folder, "test", ["MyVQA"])["MyVQA"]
    lines = [StoredPrediction.of(Prediction(item, item.index, "x", 1, False, 0.1)) for item in asked]
    predictions.write_text("".join(line.text() for line in lines))
    with pytest.raises(UserError, match=r"cannot score 5 questions \(NotImplementedError"):
        run("v", ["MyVQA"], predictions, folder, tmp_path / "v.csv")
    assert not (tmp_path / "v.csv").exists()


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[3])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def test_long_answers_are_not_cut_and_no_answer_is_computed(tmp_path: Path) -> None:
    """Finding 7: a cell of an xlsx file ends after 32,767 characters, and "=1+1" is a formula."""
    found = table("MMStar", tmp_path)
    long = ["We look at the picture. " * 1700 + f"The answer is {r}" for r in tsvs.right_answers(found[0])]
    assert min(map(len, long)) > 32_767
    with plain(PRED_FORMAT="xlsx"):
        result = stock(found, long, tmp_path / "xlsx" / "m_MMStar.xlsx")
        assert result["Overall"].tolist() == [0.0]
        from vlmeval.smp import dump, load

        dump(pd.DataFrame({"prediction": ["=1+1"]}), str(tmp_path / "cell.xlsx"))
        assert load(str(tmp_path / "cell.xlsx"))["prediction"].tolist() != ["=1+1"]
    assert ours(found, long) == 1
    path, definition = table("ChartQA_TEST", tmp_path, 3)
    raws = ["=1+1", "2", "007"]
    content = pd.read_csv(path, sep="\t", dtype=str).assign(answer=raws)
    content.to_csv(path, sep="\t", index=False)
    definition = find(tsvs.pinned(path))
    assert evaluation.evaluate(definition, path.parent, raws).scores == [1.0] * 3


def test_a_known_name_with_other_content_is_not_downloaded_over(tmp_path: Path) -> None:
    """VLMEvalKit fetches its own file over one whose md5 is not the one in its code."""
    path, definition = table("MMStar", tmp_path, 6)
    content = path.read_bytes()
    kind: Any = loading.load_dataset_class("ImageMCQDataset")
    asked = []
    module = sys.modules["vlmeval.dataset.image_base"]
    with plain(LMUData=str(path.parent)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "download_file", lambda url, file: asked.append((url, file)))
        kind(dataset="MMStar")
        assert len(asked) == 1 and asked[0][1] == str(path)
        loading.build_dataset(definition, path.parent)
        assert len(asked) == 1
    assert path.read_bytes() == content


def test_a_cache_knows_whose_answers_it_holds(triple: Triple, tmp_path: Path) -> None:
    """lm-eval's `use_cache` hands one model's answers to the next."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (tmp_path / "questions.jsonl").write_text('{"question": "red two . blue three .", "answer": "five"}\n')
    (tmp_path / "toy.yaml").write_text(
        "task: toy\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'questions.jsonl'}}}}}\n"
        "test_split: test\noutput_type: generate_until\n"
        "doc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
        "generation_kwargs: {max_gen_toks: 12, until: []}\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)

    def plainly(folder: Path, cache: str | None) -> str:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = HFLM(pretrained=AutoModelForCausalLM.from_pretrained(folder), tokenizer=tokenizer)
        found = simple_evaluate(
            model, tasks=["toy"], task_manager=manager, use_cache=cache, bootstrap_iters=0
        )
        return found["samples"]["toy"][0]["resps"][0][0]

    folders = {"base": triple.base_folder, "lrm": triple.lrm_folder}
    alone = {name: plainly(folder, None) for name, folder in folders.items()}
    cached = {name: plainly(folder, str(tmp_path / "cache")) for name, folder in folders.items()}
    assert alone["base"] != alone["lrm"]
    assert cached["base"] == cached["lrm"] == alone["base"], (
        "the second model answers with the first one's words"
    )

    from benchmarks.text.ask import ask_questions
    from benchmarks.text.models import find_model
    from benchmarks.text.tasks import make_tasks

    settings, journal = Engine(batch_size=4), tmp_path / "journal.jsonl"
    tasks = make_tasks([find("mini_total")], 4, 0, None)
    said = {
        name: ask_questions(find_model(triple, name, None, settings), tasks, settings, journal)
        for name in folders
    }
    assert said["base"]["raw"].tolist() != said["lrm"]["raw"].tolist()


def test_an_empty_gold_answer_is_named_not_the_metric_blamed(tmp_path: Path) -> None:
    """Items of an earlier version may hold one; VLMEvalKit's AttributeError says nothing of it."""
    path = tsvs.make("LogicVista", tmp_path, 3)
    frame = pd.read_csv(path, sep="\t", dtype=str).drop(columns="image").assign(image_path="x.png")
    frame.loc[1, "answer"] = ""
    frame.to_csv(path, sep="\t", index=False)
    definition = find(tsvs.pinned(path))
    where = rf"LogicVista\.tsv: question {frame.loc[1, 'index']} of LogicVista has an empty gold answer"
    with pytest.raises(UserError, match=where):
        evaluation.evaluate(definition, tmp_path, ["A", "B", "C"])
