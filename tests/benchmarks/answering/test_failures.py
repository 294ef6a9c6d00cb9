"""Questions that cannot be answered: stored with their kind, counted as far as a study lets, never silent."""

import base64
import csv
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering import keys
from benchmarks.answering.answer import predict
from benchmarks.answering.joining import join_parts
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import StoredPrediction, read_predictions
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.stages import items, score
from benchmarks.study.engine_settings import CountedFailures, EngineSettings
from benchmarks.tuning.dev_scores import score_on_dev
from benchmarks.tuning.points import Point
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import invoke, refused
from tests.support import tsvs, vllm
from tests.support.chat_server import Chat, listening
from tests.support.studies import record, study_of

ROWS, BROKEN, LONG = 8, 2, 5  # questions in all, and which of them have a corrupt picture and a long prompt
LENIENT = CountedFailures(count_as_unanswered=0.25)
Lines = dict[str, StoredPrediction]


@dataclass(frozen=True)
class Asked:
    """A folder with eight questions of MMStar, the two bad ones among them by index."""

    folder: Path
    broken: str
    long: str

    def items(self, *without: str) -> dict[str, list[Any]]:
        """The questions, some left out."""
        found = reading.load_items(self.folder, "test", ["MMStar"])["MMStar"]
        return {"MMStar": [item for item in found if item.index not in without]}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    data = tmp_path_factory.mktemp("data")
    path = tsvs.make("MMStar", data, ROWS)
    rows = tsvs.read(path)
    whole = base64.b64decode(tsvs.picture(random.Random(1)))
    rows[BROKEN]["image"] = base64.b64encode(whole[: len(whole) // 2]).decode()
    rows[LONG]["question"] = "red " * 700  # the miniature has 512 positions
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    folder = tmp_path_factory.mktemp("items")
    splits = {"dev": 2, "test": "all"}
    definition = find(tsvs.pinned(path, axis="other"))
    writing.write_items(folder, [definition], splits, data=data, tolerant=True)
    return Asked(folder, rows[BROKEN]["index"], rows[LONG]["index"])


def settings(**further: Any) -> EngineSettings:
    return EngineSettings(**{"max_new_tokens": 4, "batch_size": 3, "failures": LENIENT, **further})


def by_index(path: Path) -> Lines:
    return {line.index: line for line in read_predictions(path)}


def said(lines: Lines) -> dict[str, tuple[str, int, bool]]:
    return {index: (x.raw, x.tokens, x.truncated) for index, x in lines.items() if not x.failure}


@pytest.mark.parametrize("further", [{}, {"token_budget": 2000}, {"workers": 0}])
def test_bad_questions_are_counted_and_the_others_answered(
    triple: Triple, asked: Asked, tmp_path: Path, caplog: pytest.LogCaptureFixture, further: dict[str, int]
) -> None:
    recipe, out = Recipe.make(triple, "vlm", {}), tmp_path / "v.jsonl"
    everything = asked.items()
    with caplog.at_level(logging.WARNING):
        assert predict(triple, recipe, {}, everything, settings(**further), asked.folder, out) == ROWS
    lines = by_index(out)
    assert {i: x.failure for i, x in lines.items() if x.failure} == {
        asked.broken: "picture", asked.long: "too_long",
    }  # fmt: skip
    assert lines[asked.broken].raw == "" and "cannot be decoded" in lines[asked.broken].reason
    assert "and the model only 512 positions" in lines[asked.long].reason
    assert f"question {asked.broken} counts as unanswered" in caplog.text
    assert "2 questions count as unanswered (picture 1, too long 1)" in caplog.text
    alone = tmp_path / "alone.jsonl"
    sound = asked.items(asked.broken, asked.long)
    predict(triple, recipe, {}, sound, settings(**further | {"failures": "fail"}), asked.folder, alone)
    assert said(lines) == said(by_index(alone)), "neighbours of a failed question are answered all the same"
    assert keys.recompute_keys(out) == {x.key: x.item for x in lines.values()}
    assert predict(triple, recipe, {}, everything, settings(**further), asked.folder, out) == 0, "it resumes"


def test_lines_of_answers_are_as_before_and_failures_are_checked(
    triple: Triple, asked: Asked, tmp_path: Path
) -> None:
    out = tmp_path / "v.jsonl"
    predict(triple, Recipe.make(triple, "vlm", {}), {}, asked.items(), settings(), asked.folder, out)
    content = [json.loads(text) for text in out.read_text().splitlines()]
    usual = {"key", "benchmark", "index", "item", "raw", "tokens", "truncated", "seconds", "sum"}
    assert {frozenset(line) for line in content} == {
        frozenset(usual),
        frozenset(usual | {"failure", "reason"}),
    }
    out.write_text(out.read_text().replace('"failure": "picture"', '"failure": "refused"'))
    with pytest.raises(UserError, match="was changed after it was written"):
        read_predictions(out)


def test_the_policy_is_in_no_key(triple: Triple, asked: Asked, tmp_path: Path) -> None:
    recipe, sound = Recipe.make(triple, "vlm", {}), asked.items(asked.broken, asked.long)
    out = tmp_path / "v.jsonl"
    predict(triple, recipe, {}, sound, settings(), asked.folder, out)
    for policy in ("fail", CountedFailures(count_as_unanswered=0.5)):
        assert predict(triple, recipe, {}, sound, settings(failures=policy), asked.folder, out) == 0


@pytest.mark.parametrize(
    ("further", "without", "complaint"),
    [
        ({"failures": "fail"}, "long", "picture of question .* cannot be decoded: fetch its table again"),
        ({"failures": "fail"}, "broken", r"prompt of question .* has \d+ tokens, and the model only 512"),
        ({"failures": CountedFailures(count_as_unanswered=0.13)}, "", r"2 of 8 questions of MMStar cannot be "
         r"answered \(picture 1, too long 1; the last: .*lets 13\.00% of them"),
    ],
)  # fmt: skip
def test_more_failures_than_a_study_lets_end_it_and_are_asked_again(
    triple: Triple, asked: Asked, tmp_path: Path, further: dict[str, Any], without: str, complaint: str
) -> None:
    recipe, out = Recipe.make(triple, "vlm", {}), tmp_path / "v.jsonl"
    everything = asked.items(*([getattr(asked, without)] if without else []))
    for _ in range(2):
        with pytest.raises(UserError, match=complaint):
            predict(triple, recipe, {}, everything, settings(**further), asked.folder, out)
    count = sum(map(len, everything.values()))
    before = said(by_index(out))
    predict(triple, recipe, {}, everything, settings(), asked.folder, out)
    assert len(by_index(out)) == count and before.items() <= said(by_index(out)).items()
    # What was counted is asked again under a stricter policy, and nothing else is.
    with pytest.raises(UserError, match=complaint):
        predict(triple, recipe, {}, everything, settings(**further), asked.folder, out)
    assert said(by_index(out)).items() >= before.items()


def test_a_failed_question_is_scored_as_wrong_and_named(triple: Triple, asked: Asked, tmp_path: Path) -> None:
    out = tmp_path / "v.jsonl"
    predict(triple, Recipe.make(triple, "vlm", {}), {}, asked.items(), settings(), asked.folder, out)
    score.run("v", ["MMStar"], out, asked.folder, tmp_path / "v.csv")
    table = pd.read_csv(tmp_path / "v.csv", dtype={"index": str}).set_index("index")
    for index, kind in ((asked.broken, "picture"), (asked.long, "too_long")):
        row = table.loc[index]
        assert row["rule"] == f"failed: {kind}" and pd.isna(row["extracted"])
        assert row["correct"] == row["correct_raw"] == 0
    assert not table["rule"].drop([asked.broken, asked.long]).str.startswith("failed").any()


def test_dev_scores_count_failures_by_kind(
    triple: Triple, asked: Asked, tmp_path: Path, engine: Any, items_folder: Path
) -> None:
    engine.settings = settings()
    late = LateEngine(engine.settings, lambda: None, lambda: engine)
    point = Point(Recipe.make(triple, "vlm", {}), Fitted(), tmp_path / "point")
    table = score_on_dev(late, triple, point, asked.items(), "v")
    assert table.loc[0, ["failed_picture", "failed_too_long", "n"]].tolist() == [1, 1, ROWS]
    usual = reading.load_items(items_folder, "test", ["mini_number"])
    sound = score_on_dev(late, triple, point, usual, "v")
    assert not [column for column in sound if column.startswith("failed")]


def test_processes_are_counted_together(triple: Triple, asked: Asked, tmp_path: Path) -> None:
    """Each of two has one failure of eight, which is not too much; both together are."""
    recipe, out = Recipe.make(triple, "vlm", {}), tmp_path / "v.jsonl"
    parts = [tmp_path / f"part{i}.jsonl" for i in range(2)]
    strict = settings(failures=CountedFailures(count_as_unanswered=0.13), batch_size=4)
    for number, path in enumerate(parts):
        predict(triple, recipe, {}, asked.items(), strict, asked.folder, path, part=(number, 2))
    with pytest.raises(UserError, match="2 of 8 questions of MMStar cannot be answered"):
        join_parts(parts, out, strict.tolerated_share)
    assert len(by_index(out)) == ROWS - 2, "they are asked again"


# --- servers ----------------------------------------------------------------------------------------


def answer_some(
    chat: Chat, refusals: Mapping[str, tuple[int, str]]
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """A server that refuses requests with certain words, and answers the others with a tiny model."""

    def answer(body: dict[str, Any], _: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        text = json.dumps(body["messages"])
        with chat.lock:
            chat.requests.append(body)
        for word, (status, message) in refusals.items():
            if word in text:
                return status, {"error": {"message": message}}
        return 200, chat.reply(body)

    return answer


@pytest.fixture
def chat(triple: Triple) -> Chat:
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder).eval()
    return Chat(model, AutoProcessor.from_pretrained(triple.vlm_folder))


def through(address: str, **further: Any) -> EngineSettings:
    return settings(name="openai", address=address, model="tiny", retries=1, **further)


def test_what_a_server_refuses_is_counted(chat: Chat, triple: Triple, asked: Asked, tmp_path: Path) -> None:
    recipe, out = Recipe.make(triple, "vlm", {}), tmp_path / "v.jsonl"
    questions = asked.items()
    third = next(i for i in questions["MMStar"] if i.index not in (asked.broken, asked.long))
    filtered = third.message[-1]["value"]
    refusals = {
        "red red red red": (400, "This model's maximum context length is 512 tokens."),
        json.dumps(filtered)[1:-1]: (422, "flagged by the content filter"),
    }
    half = CountedFailures(count_as_unanswered=0.5)
    with listening(answer_some(chat, refusals), "tiny") as address:
        predict(triple, recipe, {}, questions, through(address, failures=half), asked.folder, out)
        failures = {i: x.failure for i, x in by_index(out).items() if x.failure}
        assert failures == {asked.broken: "picture", asked.long: "too_long", third.index: "refused"}
        assert "flagged by the content filter" in by_index(out)[third.index].reason
        before = len(chat.requests)
        assert before == ROWS - 1, "a refusal is not asked again, and a corrupt picture is not sent"
        assert predict(triple, recipe, {}, questions, through(address, failures=half), asked.folder, out) == 0
        assert len(chat.requests) == before
        for policy, complaint in (
            ("fail", "engine\\.failures"),
            (LENIENT, r"3 of 8 questions of MMStar cannot be answered \(picture 1, refused 1, too long 1"),
        ):
            with pytest.raises(UserError, match=complaint):
                predict(triple, recipe, {}, questions, through(address, failures=policy), asked.folder, out)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_what_concerns_every_request_ends_the_run(
    chat: Chat, triple: Triple, asked: Asked, tmp_path: Path, status: int
) -> None:
    every = CountedFailures(count_as_unanswered=1)
    out, recipe = tmp_path / "v.jsonl", Recipe.make(triple, "vlm", {})
    complaint = rf"did not answer question \S+ of MMStar \(.*{status}"
    with (
        listening(answer_some(chat, {"": (status, "no")}), "tiny") as address,
        pytest.raises(UserError, match=complaint),
    ):
        engine = through(address, failures=every, workers=1)
        predict(triple, recipe, {}, asked.items(asked.broken), engine, asked.folder, out)
    assert not by_index(out)


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here: run make vllm")
def test_vllm_gets_the_questions_that_can_be_answered(asked: Asked) -> None:
    miniature, questions = vllm.open_miniature(), asked.items()["MMStar"]
    given = {"max_new_tokens": 4, "batch_size": 4}
    with vllm.opened(miniature, vllm.settings(**given, failures=LENIENT), asked.folder) as engine:
        batches = engine.batches(questions, {})
        found = [p for batch in engine.answers(batches) for p in batch]
        assert [p.item for p in found] == questions
        assert {p.item.index: p.failure for p in found if p.failure} == {
            asked.broken: "picture", asked.long: "too_long",
        }  # fmt: skip
        engine.settings = vllm.settings(**given)
        with pytest.raises(UserError, match="cannot be"):
            list(engine.answers(batches))


# --- settings ---------------------------------------------------------------------------------------


def test_the_policy_is_a_word_or_a_share() -> None:
    engine = {"name": "transformers", "max_new_tokens": 4}
    study = study_of({"engine": engine | {"failures": {"count_as_unanswered": 0.01}}})
    assert study.engine.tolerated_share == 0.01
    assert study_of({"engine": engine}).engine.tolerated_share is None
    for policy, complaint in (
        ("ignore", "engine.failures must be 'fail' or a mapping, not 'ignore'"),
        ({"count_as_unanswered": 1.5}, "too large"),
        ({"count_as_unanswered": 0}, "too small"),
        ({}, "engine.failures must be 'fail' or a mapping"),
    ):
        with pytest.raises(UserError, match=complaint):
            study_of({"engine": engine | {"failures": policy}})
    with pytest.raises(ValidationError, match="failures is a setting of transformers and vllm and openai"):
        EngineSettings(name="vlmeval", failures=LENIENT)


# --- the reference engine, and the stage that writes items ------------------------------------------


def test_the_reference_engine_names_a_prompt_that_is_too_long(
    triple: Triple, asked: Asked, tmp_path: Path
) -> None:
    engine = EngineSettings(name="vlmeval", max_new_tokens=2)
    with pytest.raises(
        UserError, match=rf"question {asked.long} of MMStar has \d+ tokens, and the model only"
    ):
        predict(
            triple, Recipe.make(triple, "vlm", {}), {}, asked.items(asked.broken), engine, asked.folder,
            tmp_path / "v.jsonl",
        )  # fmt: skip


@pytest.mark.parametrize("policy", ["fail", {"count_as_unanswered": 0.5}])
def test_the_stage_of_items_follows_the_policy(
    triple_settings: dict[str, str], tmp_path: Path, policy: str | dict[str, float]
) -> None:
    path = tsvs.make("MMStar", tmp_path / "data", 4)
    text = path.read_text()
    picture = tsvs.read(path)[1]["image"]
    path.write_text(text.replace(picture, picture[: len(picture) // 2 // 4 * 4]))
    study = record(
        tmp_path / "study",
        {
            "triple": triple_settings,
            "engine": {"name": "transformers", "max_new_tokens": 4, "failures": policy},
            "benchmarks": [tsvs.pinned(path)],
            "data": {"folder": str(path.parent)},
            "questions": {"dev": 1, "test": "all"},
        },
    )
    result = invoke(items.main, "--study", study)
    if policy == "fail":
        assert refused(result, "is broken") and "engine.failures" in result.stderr
    else:
        assert result.exit_code == 0 and "will count as unanswered" in result.stderr
