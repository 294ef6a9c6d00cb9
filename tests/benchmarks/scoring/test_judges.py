"""Judges: the rule judge's comparisons; a judge model behind a real server, its cache and its failures."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.registry.lookup import find
from benchmarks.scoring import evaluation
from benchmarks.scoring.chat_judge import ChatJudge
from benchmarks.scoring.extraction import extract
from benchmarks.scoring.judges import RuleJudge, same
from benchmarks.study.judge_settings import JudgeSettings
from frism.errors import UserError
from tests.support import tsvs
from tests.support.chat_server import served
from tests.support.styles import answered


def reads_letters(body: dict[str, Any]) -> str:
    """What a good model would say to VLMEvalKit's prompts for a choice: it reads the answer above."""
    prompt = body["messages"][-1]["content"]
    answer = prompt.rpartition("Answer: ")[2].partition("Your output:")[0]
    return extract(answer.replace("<start>", "").replace("<end>", ""), "option")[0] or "Z"


@pytest.mark.parametrize(
    ("answer", "truth", "agree"),
    [
        ("14", "14", True),
        ("14.0", "14", True),
        ("14 cm", "14", True),
        ("20°", "20", True),
        ("\\frac{1}{2}", "0.5", True),
        ("x = 2\\sqrt{3}", "2\\sqrt{3}", True),
        ("\\sqrt{12}", "2\\sqrt{3}", True),
        ("(-2, 1]", "(-2,1]", True),
        ("1,234", "1234", True),
        ("B", "B", True),
        ("B", "C", False),
        ("(-2, 1)", "(-2,1]", False),
        ("14", "15", False),
        ("", "14", False),
        ("[unanswered]", "14", False),
        ("the angle at the top is as we saw above 14", "14", False),
        ("9^{9^{9^9}}", "14", False),
    ],
)
def test_same(answer: str, truth: str, agree: bool) -> None:
    assert same(answer, truth) is agree


@given(st.integers(-10_000, 10_000), st.integers(1, 999))
def test_same_is_about_values(value: int, other: int) -> None:
    assert same(f"{value:,}", str(value)) and same(f"{value}.00", str(value))
    assert not same(str(value + other), str(value))


@settings(max_examples=60, deadline=None)
@given(
    st.text("0123456789+-*/^{}()=.,x \\", max_size=24), st.sampled_from(["14", "2\\sqrt{3}", "(-2,1]", "x=3"])
)
def test_same_survives_any_formula(text: str, truth: str) -> None:
    assert same(text, truth) in (True, False)
    assert same(truth, truth)


def test_the_rule_judge_says_what_the_row_says() -> None:
    judge = RuleJudge("logicvista")
    assert judge.working() and judge.generate("anything") == "Z"
    judge.row = pd.Series({"prediction": "A, C"})
    assert judge.generate("anything", temperature=2.0) == "AC"
    judge.row = pd.Series({"prediction": "First A, then C."})
    assert judge.generate("anything") == "Z"


@pytest.fixture
def table(tmp_path: Path) -> Any:
    path = tsvs.make("MMStar", tmp_path / "data", 12)
    return path, find(tsvs.pinned(path))


def judged_by(address: str, **fields: Any) -> JudgeSettings:
    return JudgeSettings(address=address, model="judge-7b", workers=4, retries=1, **fields)


def test_a_judge_model_is_asked_once_for_what_rules_cannot_read(
    table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, definition = table
    raws, cache = answered(path, definition, "chain"), tmp_path / "v.judge.jsonl"
    monkeypatch.setenv("JUDGE_KEY", "secret")
    with served(reads_letters) as (address, requests):
        judge = ChatJudge(judged_by(address, key_variable="JUDGE_KEY"), cache)
        first = evaluation.evaluate(definition, path.parent, raws, judge)
        assert first.scores == [1.0] * 12 and judge.requests == 12 and not judge.unread
        asked = len(requests)
        assert asked == 12
        assert {r["temperature"] for r in requests} == {0.0} and {r["model"] for r in requests} == {
            "judge-7b"
        }
        assert {r["authorization"] for r in requests} == {"Bearer secret"}
        again = ChatJudge(judged_by(address), cache)
        assert evaluation.evaluate(definition, path.parent, raws, again) == first
        assert len(requests) == asked and again.requests == 0, "the second scoring asks nothing"
        for other in ({"model": "judge-72b"}, {"temperature": 0.5}, {"address": address + "/"}):
            different = ChatJudge(judged_by(address).model_copy(update=other), cache)
            different.ask("a prompt")
            assert different.requests == 1, other
    assert "secret" not in cache.read_text()


def test_an_unreadable_reply_is_no_option_and_is_counted(table: Any, tmp_path: Path) -> None:
    """VLMEvalKit would draw one of the options."""
    path, definition = table
    raws = answered(path, definition, "chain")
    with served(lambda _: "I would rather not say, A or B.") as (address, requests):
        judge = ChatJudge(judged_by(address), tmp_path / "v.jsonl")
        assert evaluation.evaluate(definition, path.parent, raws, judge).scores == [0.0] * 12
        assert len(judge.unread) == 12 and len(requests) == 12


def test_a_judge_that_fails_is_an_error_and_its_replies_stay(table: Any, tmp_path: Path) -> None:
    path, definition = table
    raws, cache = answered(path, definition, "chain"), tmp_path / "v.jsonl"
    left = iter(range(5))
    with served(lambda body: reads_letters(body) if next(left, None) is not None else None) as (address, _):
        judge = ChatJudge(judged_by(address).model_copy(update={"workers": 1}), cache)
        with pytest.raises(
            UserError, match=r"the judge judge-7b at http://127.* does not answer .* are kept"
        ):
            evaluation.evaluate(definition, path.parent, raws, judge)
    assert len(cache.read_text().splitlines()) == 5
    with pytest.raises(UserError, match="does not answer"):
        ChatJudge(judged_by("http://127.0.0.1:9/v1"), cache).ask("new")


def test_a_cut_last_line_is_redone_and_a_broken_one_named(tmp_path: Path) -> None:
    cache = tmp_path / "v.jsonl"
    cache.write_text('{"key": "a", "reply": "B"}\n{"key": "b", "re')
    assert ChatJudge(judged_by("http://127.0.0.1:9/v1"), cache)._replies == {"a": "B"}
    assert cache.read_text() == '{"key": "a", "reply": "B"}\n'
    cache.write_text('{"key": "a", "reply": "B"}\n{"key": \n{"key": "c", "reply": "B"}\n')
    with pytest.raises(UserError, match=r"v\.jsonl, line 2 is not a judge's reply"):
        ChatJudge(judged_by("http://127.0.0.1:9/v1"), cache)


@pytest.mark.parametrize(
    "name", ["MathVista_MINI", "MathVerse_MINI", "MathVision_MINI", "LogicVista", "DynaMath"]
)
def test_vlmevalkits_own_prompts_reach_the_judge(tmp_path: Path, name: str) -> None:
    """All-right chains, judged by a model that finds the last "answer is"."""

    def reply(body: dict[str, Any]) -> str:
        prompt = body["messages"][-1]["content"]
        if "Judgement:" in prompt:
            return "1"
        found = re.findall(r"the final answer is (.+?)\.(?:['\n]|$|Extracted)", prompt)[-1]
        return found.replace(", ", "") if name == "LogicVista" else found

    path = tsvs.make(name, tmp_path, 12)
    definition = find(tsvs.pinned(path))
    with served(reply) as (address, requests):
        judge = ChatJudge(judged_by(address), tmp_path / "v.jsonl")
        found = evaluation.evaluate(definition, tmp_path, answered(path, definition, "chain"), judge)
    assert set(found.scores) == {1.0}
    assert requests and not judge.unread
    if name == "DynaMath":
        assert requests[0]["messages"][0]["role"] == "system", "VLMEvalKit sets it"
    elif name != "LogicVista":
        assert requests[0]["max_tokens"] == 128


@pytest.mark.parametrize("name", ["MMBench_DEV_EN", "HallusionBench"])
def test_rotations_and_pairs_reach_the_judge(tmp_path: Path, name: str) -> None:
    """A judge that knows the last word of the chain: every rotation of a question is asked about."""

    def reply(body: dict[str, Any]) -> str:
        return re.findall(r"the final answer is (\w+)\.", body["messages"][-1]["content"])[-1]

    path = tsvs.make(name, tmp_path, 12)
    definition = find(tsvs.pinned(path))
    with served(reply) as (address, _):
        judge = ChatJudge(judged_by(address), tmp_path / "v.jsonl")
        texts = answered(path, definition, "chain")
        assert set(evaluation.evaluate(definition, tmp_path, texts, judge).scores) == {1.0}
        assert not judge.unread


def test_our_own_prompt_asks_for_the_final_answer(tmp_path: Path) -> None:
    with served(lambda _: " none. ") as (address, requests):
        judge = ChatJudge(judged_by(address, prompt_version="extract-1"), tmp_path / "v.jsonl")
        assert judge.extract_all([("Which?", "I cannot say.")]) == [None]
        assert "Which?" in requests[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"address": "http://x"}', "model\n  Field required"),
        ('{"address": "http://x", "model": "m", "temprature": 1}', "temprature"),
        ('{"address": "http://x", "model": "m", "prompt_version": "2"}', "prompt_version"),
    ],
)
def test_settings_are_checked(text: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        JudgeSettings.model_validate_json(text)


def test_what_no_rule_can_grade_is_graded_by_the_judge(tmp_path: Path) -> None:
    """MM-Vet: VLMEvalKit's grader prompt, whose replies are shares."""
    path = tsvs.make("TextVQA_VAL", tmp_path, 12)
    rows = pd.read_csv(path, sep="\t", dtype=str)
    skills = ["rec", "ocr", "know", "gen", "spat", "math"]
    rows["answer"], rows["category"] = "a sign", [",".join(skills[: 1 + i % 6]) for i in range(12)]
    path = tmp_path / "MMVet.tsv"
    rows.to_csv(path, sep="\t", index=False)
    definition = find(tsvs.pinned(path))
    assert definition.judge == "model"
    with pytest.raises(UserError, match="only be graded by a language model"):
        evaluation.evaluate(definition, tmp_path, ["a sign"] * 12)
    with served(lambda b: "1.0" if b["messages"][-1]["content"].endswith("sign | ") else "0.5") as (
        address,
        _,
    ):
        judge = ChatJudge(judged_by(address), tmp_path / "v.jsonl")
        found = evaluation.evaluate(definition, tmp_path, ["a sign"] * 6 + ["a shop"] * 6, judge)
    assert found.scores == [1.0] * 6 + [0.5] * 6 and not judge.unread
