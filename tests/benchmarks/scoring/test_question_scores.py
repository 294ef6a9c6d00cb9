"""Scores: style does not count, stale answers are refused, the same predictions give the same bytes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.answering.predictions import Prediction, StoredPrediction, compute_checksum
from benchmarks.questions import item, reading, writing
from benchmarks.registry.lookup import find
from benchmarks.registry.vlmevalkit_package import get_version, hash_installation
from benchmarks.scoring import extraction
from benchmarks.scoring.chat_judge import ChatJudge
from benchmarks.scoring.question_scores import COLUMNS, JUDGED, score_answers, score_with_judge, total_scores
from benchmarks.stages.score import main, run
from benchmarks.study.judge_settings import JudgeSettings
from frism.errors import UserError
from frism.files import sha256_file
from tests.benchmarks.conftest import QUESTIONS, SUITES, invoke, refused
from tests.benchmarks.scoring.test_judges import reads_letters
from tests.support import tsvs
from tests.support.chat_server import served
from tests.support.studies import record
from tests.support.styles import answered


def answers(asked: dict[str, list[item.Item]], style: str = " {}") -> dict[str, list[SimpleNamespace]]:
    """The truth in the given style, for every second question; nonsense for the rest."""
    return {
        name: [
            SimpleNamespace(
                raw=style.format(item.answer.lower()) if i % 2 == 0 else " red" * 12,
                tokens=3,
                truncated=i % 2 == 1,
                failure="",
            )
            for i, item in enumerate(group)
        ]
        for name, group in asked.items()
    }  # fmt: skip


def written(asked: dict[str, list[item.Item]], path: Path) -> list[StoredPrediction]:
    lines = [
        StoredPrediction.of(Prediction(i, f"{n}{i.index}", answer.raw, answer.tokens, answer.truncated, 0.1))
        for n, group in asked.items()
        for i, answer in zip(group, answers(asked)[n], strict=True)
    ]
    path.write_text("".join(line.text() for line in lines))
    return lines


def changed(line: StoredPrediction, **fields: object) -> StoredPrediction:
    """The line with other content and the sum that belongs to it."""
    other = replace(line, **fields)  # type: ignore[arg-type]
    return replace(other, sum=compute_checksum(vars(other)))


def test_rows_say_what_was_asked_answered_and_judged(items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", SUITES)
    table = score_answers("v", asked, answers(asked, " red one . Answer {}"))
    assert tuple(table.columns) == COLUMNS
    assert list(table["benchmark"].unique()) == SUITES
    assert len(table) == QUESTIONS * len(SUITES)
    right = table["correct"] == 1
    assert right.tolist() == [i % 2 == 0 for _ in SUITES for i in range(QUESTIONS)]
    assert (table.loc[right, "rule"] == "answer phrase").all()
    assert table.loc[~right, "extracted"].isna().all()
    assert table["repeated"].tolist() == (~right).tolist()
    raw = table[right].groupby("benchmark")["correct_raw"].mean()
    assert raw["mini_total"] == 0, "VLMEvalKit's exact match on the whole text"
    assert raw["mini_existence"] == 1, "VLMEvalKit looks for the word yes or no"
    summary = total_scores(table).set_index("benchmark")
    assert (summary["score"] == 0.5).all() and (summary["n"] == QUESTIONS).all()
    assert summary.loc["mini_total", ["axis", "group", "correct"]].tolist() == ["reasoning", "reasoning", 5]


def test_raw_texts_may_be_left_alone(items_folder: Path) -> None:
    """As on dev, where only the score counts: it is the same, and nothing is said of the raw texts."""
    asked = reading.load_items(items_folder, "test", SUITES)
    both = score_with_judge("v", asked, answers(asked, " red one . Answer {}"))
    alone = score_with_judge("v", asked, answers(asked, " red one . Answer {}"), raw=False)
    assert alone.table["correct_raw"].isna().all() and both.table["correct_raw"].notna().all()
    pd.testing.assert_frame_equal(*(t.table.drop(columns="correct_raw") for t in (both, alone)))
    assert {n: {"extracted": t["extracted"]} for n, t in both.official.items()} == alone.official


def test_missing_answers_are_refused(items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", SUITES[:1])
    with pytest.raises(UserError, match="0 answers for the 10 questions of mini_number"):
        score_answers("v", asked, {})


def test_command_line_gives_the_same_bytes_twice(items_folder: Path, tmp_path: Path) -> None:
    predictions, out = tmp_path / "v.jsonl", tmp_path / "scores" / "v.csv"
    lines = written(reading.load_items(items_folder, "test", SUITES), predictions)
    settings = {"benchmarks": SUITES, "variants": {name: {"method": "vlm"} for name in ("vlm", "v")}}
    study = record(tmp_path / "study", settings)
    (study.parent / "items").symlink_to(items_folder)
    command = ["--study", study, "--variant", "v", "--predictions", predictions, "--out", out]
    assert invoke(main, *command).exit_code == 0
    first = out.read_bytes()
    slower = [changed(line, seconds=9.0) for line in reversed(lines)]
    predictions.write_text("".join(line.text() for line in slower))
    assert invoke(main, *command).exit_code == 0
    assert out.read_bytes() == first
    official = json.loads(out.with_suffix(".official.json").read_text())
    assert official["mini_number"]["extracted"] == {"Overall": 50.0}
    about = json.loads(out.with_suffix(".provenance.json").read_text())
    assert about["predictions"] == sha256_file(predictions)
    assert about["items"] == sha256_file(items_folder / "manifest.json")
    assert about["extractor"] == extraction.VERSION and about["judge"] is None
    assert about["vlmevalkit"] == {"version": get_version(), "tree": hash_installation()}
    costs = pd.read_csv(tmp_path / "scores" / "v.cost.csv")
    assert costs["seconds"].tolist() == [9.0] * len(lines)
    command[3] = "w"
    assert refused(invoke(main, *command), "the study has no variant 'w' (vlm, v)")


def test_answers_to_other_questions_are_not_scored(items_folder: Path, tmp_path: Path) -> None:
    predictions, out = tmp_path / "v.jsonl", tmp_path / "v.csv"
    lines = written(reading.load_items(items_folder, "test", SUITES), predictions)

    def check(complaint: str, benchmarks: list[str] = SUITES, folder: Path = items_folder) -> None:
        with pytest.raises(UserError, match=complaint):
            run("v", benchmarks, predictions, folder, out)
        assert not out.exists()

    check("has no items of benchmark mini_net", ["mini_net"])
    check("holds no finished items", folder=tmp_path)
    predictions.write_text("".join(line.text() for line in [*lines, lines[0]]))
    check("answers question 0 of mini_number twice")
    predictions.write_text("".join(line.text() for line in lines[1:]))
    check("lacks the answer to question 0 of mini_number")
    predictions.write_text("".join(changed(line, item="0" * 16).text() for line in lines))
    check("answers a question 0 of mini_number")
    copied = shutil.copytree(items_folder, tmp_path / "items")
    (copied / "test" / "mini_number.jsonl").write_text("{}\n")
    check("was changed after it was written", folder=copied)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, list[str]]]:
    """Items of four published benchmarks, how a study names them, and all-right chains."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("items")
    paths = [
        tsvs.make(name, data, 12) for name in ("MMStar", "MathVista_MINI", "TextVQA_VAL", "HallusionBench")
    ]
    definitions = [find(tsvs.pinned(path)) for path in paths]
    writing.write_items(folder, definitions, {"test": "all"}, data=data)
    return (
        folder,
        [d.name for d in definitions],
        {p.stem: answered(p, find(tsvs.pinned(p)), "chain") for p in paths},
    )


def test_a_judge_model_stands_beside_the_rules(
    published: tuple[Path, list[str], dict[str, list[str]]], tmp_path: Path
) -> None:
    folder, asked, chains = published
    loaded = reading.load_items(folder, "test", asked)
    order = {name: {i: k for k, i in enumerate(_indices(folder, name))} for name in loaded}
    lines = [
        StoredPrediction.of(
            Prediction(item, f"{name}{item.index}", chains[name][order[name][item.index]], 9, False, 0.1)
        )
        for name, group in loaded.items()
        for item in group
    ]
    predictions, out = tmp_path / "v.jsonl", tmp_path / "v.csv"
    predictions.write_text("".join(line.text() for line in lines))
    with served(reads_letters) as (address, requests):
        judge = JudgeSettings(address=address, model="m", retries=0)
        run("v", asked, predictions, folder, out, judge)
        first, number = out.read_bytes(), len(requests)
        assert number > 0
        run("v", asked, predictions, folder, out, judge)
        assert out.read_bytes() == first and len(requests) == number, "the replies are kept"
    table = pd.read_csv(out)
    assert list(table.columns) == [*COLUMNS[: COLUMNS.index("truncated")], JUDGED, *COLUMNS[-3:]]
    means = table.groupby("benchmark")[["correct", "correct_raw", JUDGED]].mean()
    assert (means["correct"] == 1).all()
    assert means.loc["MMStar"].tolist() == [1, 0, 1]
    assert means.loc["TextVQA_VAL", JUDGED] != means.loc["TextVQA_VAL", JUDGED], (
        "VLMEvalKit asks nobody there"
    )
    assert table["cluster"].notna().any()
    official = json.loads(out.with_suffix(".official.json").read_text())
    assert official["HallusionBench"]["extracted"]["split=Overall|qAcc"] == 100
    assert set(official["MMStar"]) == {"extracted", "raw", "judge"}
    about = json.loads(out.with_suffix(".provenance.json").read_text())
    assert about["judge"] == {
        "address": address, "model": "m", "prompt_version": "vlmevalkit", "temperature": 0.0,
    }  # fmt: skip
    with pytest.raises(UserError, match="does not answer"):
        run("v", asked, predictions, folder, tmp_path / "w.csv", judge)
    assert not (tmp_path / "w.csv").exists()


def _indices(folder: Path, name: str) -> list[str]:
    return [row["index"] for row in tsvs.read(folder / "test" / f"{name}.tsv")]


def test_the_judge_may_extract_for_every_metric(
    published: tuple[Path, list[str], dict[str, list[str]]], tmp_path: Path
) -> None:
    folder, asked, _ = published
    loaded = {"TextVQA_VAL": reading.load_items(folder, "test", asked)["TextVQA_VAL"]}
    truth = tsvs.right_answers(folder / "test" / "TextVQA_VAL.tsv")
    given = {
        "TextVQA_VAL": [
            SimpleNamespace(raw=f"It says {t}, I think.", tokens=5, truncated=False, failure="")
            for t in truth
        ]
    }

    def reply(body: dict[str, object]) -> str:
        prompt = body["messages"][-1]["content"]  # type: ignore[index]
        return str(prompt).rpartition("It says ")[2].partition(", I think")[0]

    with served(reply) as (address, _requests):
        settings = JudgeSettings(address=address, model="m", prompt_version="extract-1")
        scored = score_with_judge("v", loaded, given, ChatJudge(settings, tmp_path / "v.jsonl"))
    assert scored.table[JUDGED].tolist() == [1.0] * len(truth)
    assert scored.table["correct"].tolist() == [0.0] * len(truth)
