"""The extractor: styles of saying an answer, rules as properties, loops."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.extraction import extract, repeated
from benchmarks.miniature.questions import FAMILIES, ask

WORDS = st.sampled_from(["three", "twenty-one", "red", "northeast", "8", "3.5", "-2", "B", "yes"])
# Prose without anything that looks like an answer.
PROSE = st.lists(
    st.sampled_from(["the", "tile", "is", "red", "so", "we", "add", "four", "then", "check", "."]),
    max_size=40,
)


@pytest.mark.parametrize(
    ("raw", "expected", "rule"),
    [
        (" three", "three", "whole text"),
        (" red seven . blue two . seven + two = nine . Answer nine", "nine", "answer phrase"),
        ("Let me think. First A is tempting. Therefore the final answer is B.", "B", "answer phrase"),
        ("<think>Maybe A, or C.</think> \\boxed{B}", "B", "boxed"),
        ("Steps.\n**Answer:** 42", "42", "answer phrase"),
        ("**Final Answer**: $\\frac{1}{2}$", "\\frac{1}{2}", "answer phrase"),
        ("So \\boxed{\\text{north east}}", "north east", "boxed"),
        ("The answer is 3.5. I am sure.", "3.5", "answer phrase"),
        ("Answer one . No , wrong . Answer two", "two", "answer phrase"),
        ("<think>red is three", None, "unfinished thought"),
        ("</think>", None, "empty"),
        ("", None, "empty"),
        (" blue five . three + five = eight . red two .", None, "no answer"),
        (" red two . blue two . two + two = four . Answer", None, "no answer"),
        ("\\boxed{5", "\\boxed{5", "whole text"),
    ],
)
def test_ways_to_answer(raw: str, expected: str | None, rule: str) -> None:
    assert extract(raw) == (expected, rule)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" yes", "Yes"),
        ("No.", "No"),
        ("There is no doubt. The final answer is Yes", "Yes"),
        ("Yes, there is a red tile in the picture.", "Yes"),
        ("yes or no", None),
        ("maybe", None),
        ("There is no red tile in the picture", None),
    ],
)
def test_yes_no(raw: str, expected: str | None) -> None:
    assert extract(raw, "yes_no")[0] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("B", "B"),
        ("(C)", "C"),
        ("B. the red one on the left", "B"),
        ("The answer is (D) red", "D"),
        ("red", None),
    ],
)
def test_options(raw: str, expected: str | None) -> None:
    assert extract(raw, "option")[0] == expected


@given(PROSE, WORDS, st.sampled_from(["Answer {}", "The final answer is {}.", "answer: {}", "\\boxed{{{}}}"]))
def test_a_stated_answer_is_found_after_any_prose(prose: list[str], word: str, style: str) -> None:
    raw = f"{' '.join(prose)} {style.format(word)}"
    assert extract(raw)[0] == word
    assert extract(f"<think>{raw} Answer wrong</think> {raw}")[0] == word


@given(st.text(max_size=200), st.sampled_from(["text", "yes_no", "option"]))
@example("\\boxed{", "text")
@example("answer" * 20, "text")
def test_any_text_gives_one_clean_answer_or_a_reason(raw: str, kind: str) -> None:
    answer, rule = extract(raw, kind)  # type: ignore[arg-type]
    assert (answer, rule) == extract(raw, kind)  # type: ignore[arg-type]
    assert rule
    assert answer is None or (answer and answer == answer.strip())
    if kind == "yes_no":
        assert answer in ("Yes", "No", None)


@given(st.sampled_from(sorted(FAMILIES)), st.integers())
def test_every_worked_answer_of_the_world_is_read(family: str, seed: int) -> None:
    _, question = ask(FAMILIES[family], random.Random(seed))
    assert extract(" " + question.answer)[0] == question.answer
    if question.chain:
        assert extract(" " + question.worked()) == (question.answer, "answer phrase")
        assert not repeated(question.worked())


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(4, 9), st.integers(0, 5), PROSE)
def test_loops_at_the_end_are_seen(unit: list[str], times: int, cut: int, prose: list[str]) -> None:
    loop = unit * times + unit[: cut % len(unit)]
    if len(loop) >= 8:
        assert repeated(" ".join([*prose, *loop]))


@pytest.mark.parametrize("raw", ["", "no no no", "red two . blue three . two + three = five . Answer five"])
def test_no_loop(raw: str) -> None:
    assert not repeated(raw)
