"""The extractor: styles of saying an answer, rules as properties, loops."""

import csv
import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.miniature.question_families import FAMILIES, ask
from benchmarks.scoring.extraction import extract
from benchmarks.scoring.option_values import find_option
from benchmarks.scoring.repetition import is_repetitive
from benchmarks.scoring.stated_numbers import read_number

WORDS = st.sampled_from(["three", "twenty-one", "red", "northeast", "8", "3.5", "-2", "B", "yes"])
KINDS = ["text", "yes_no", "option", "options", "number", "math", "passage"]
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
        ("There is no red tile in the picture", "No"),
    ],
)
def test_yes_no(raw: str, expected: str | None) -> None:
    assert extract(raw, "yes_no")[0] == expected


OPTIONS = {"A": "the red car", "B": "the blue dog", "C": "the green tree", "D": "red"}


@pytest.mark.parametrize(
    ("raw", "expected", "rule"),
    [
        ("B", "B", "leading letter"),
        ("(C)", "C", "leading letter"),
        ("**B**", "B", "leading letter"),
        ("B. the red one on the left", "B", "leading letter"),
        ("The answer is (D) red", "D", "answer phrase"),
        ("the blue dog", "B", "whole text"),
        ("Red.", "D", "whole text"),
        ("The answer is the red car", "A", "answer phrase"),
        ("The answer is A red thing.", "D", "answer phrase"),
        ("The answer is A because it is red.", "A", "answer phrase"),
        ("The correct answer is option B, the dog.", "B", "answer phrase"),
        ("\\boxed{\\text{(B) the blue dog}}", "B", "boxed"),
        ("\\boxed{2} of them, so the answer is C.", "C", "answer phrase"),
        ("<Thought process>: <<A is nice>> <Answer>: <<B>>", "B", "answer phrase"),
        ("The answer is not A. Rather it is C.", "C", "answer phrase"),
        ("Option A is wrong. So the correct option is C.", "C", "answer phrase"),
        ("First A is tempting. Therefore B.", "B", "last sentence"),
        ("First look around. So it must be the red car.", "A", "last sentence"),
        ("I think it is (B) or (C) and I will not choose.", None, "several options"),
        ("The answer is E.", None, "answer phrase, but no option"),
        ("To answer this, we look at the red car and the blue dog on the way.", None, "no answer"),
    ],
)
def test_options(raw: str, expected: str | None, rule: str) -> None:
    assert extract(raw, "option", OPTIONS) == (expected, rule)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("B", "B"), ("(C)", "C"), ("B. the red one", "B"), ("The answer is (D) red", "D"), ("red", None),
     ("I see it", None), ("A red car", None)],
)  # fmt: skip
def test_options_whose_texts_are_not_known(raw: str, expected: str | None) -> None:
    assert extract(raw, "option")[0] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("A, C", "A, C"),
        ("AC", "A, C"),
        ("C and A", "A, C"),
        ("B", "B"),
        ("\\boxed{A, C}", "A, C"),
        ("The answers are (A) and (D).", "A, D"),
        ("The answer is A and C, because B is wrong.", "A, C"),
        ("So we get the boxes (A) and (D).", "A, D"),
        ("A car", None),
        ("None of them fits the sequence of boxes", None),
    ],
)
def test_several_options(raw: str, expected: str | None) -> None:
    assert extract(raw, "options")[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14", "14"),
        ("1,234 cm", "1234"),
        ("$1.45", "1.45"),
        ("45%", "45"),
        ("\\frac{3}{4}", "0.75"),
        ("\\frac12", "0.5"),
        ("1/2", "0.5"),
        ("2\\frac{1}{2}", "2.5"),
        ("3.2 \\times 10^{5}", "320000"),
        ("14^\\circ", "14"),
        ("x = 7", "7"),
        ("14\\text{ cm}", "14"),
        ("-3.50", "-3.5"),
        ("−3", "-3"),
        ("about 12 apples (3 times 4)", "12"),
        ("3 + 4 = 7 apples", "7"),
        ("three", "3"),
        ("2\\sqrt{3}", "3.4641016151377544"),
        ("12π cm", "37.69911184307752"),
        ("1/0", ""),
        ("none", ""),
        ("9^{9^{9^9}}\\pi", ""),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert read_number(text) == expected


@given(
    st.integers(-(10**9), 10**9),
    st.integers(0, 3),
    st.sampled_from(["{}", "{} cm", "${}$", "x = {}", "**{}**"]),
)
def test_a_number_is_itself_in_every_dress(value: int, places: int, dress: str) -> None:
    plain = f"{value:,}" + ("." + "0" * places if places else "")
    assert read_number(dress.format(plain)) == str(value)


@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions(top: int, bottom: int) -> None:
    for text in (f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}"):
        assert float(read_number(text)) == pytest.approx(float(Fraction(top, bottom)), abs=1e-12)


@pytest.mark.parametrize(
    ("raw", "expected", "rule"),
    [
        ("The answer is $2\\sqrt{3}$.", "2\\sqrt{3}", "answer phrase"),
        ("\\boxed{x = 14 \\text{ cm}}", "14", "boxed"),
        ("\\boxed{\\dfrac{3}{4}}", "\\frac{3}{4}", "boxed"),
        ("20°", "20", "whole text"),
        ("14x", "14x", "whole text"),
        ("(-2, 1]", "(-2, 1]", "whole text"),
    ],
)
def test_formulas(raw: str, expected: str, rule: str) -> None:
    assert extract(raw, "math") == (expected, rule)


def test_the_last_number_of_an_unmarked_text() -> None:
    assert extract("We add 3 and 4. This makes 7 apples in all.", "number") == ("7", "last number")
    assert extract("There are some apples on the table here", "number") == (None, "no answer")


@pytest.mark.parametrize("answer", ["3.142", "B", "two lines", 'a "quoted" word', "\\frac{1}{2}"])
def test_json(answer: str) -> None:
    written = json.dumps({"solution": "We see \\frac{1}{3}. The answer is 9.", "short answer": answer})
    for raw in (written, f"Here it is:\n```json\n{written}\n```"):
        assert extract(raw, json=True) == (answer, "json")
    assert extract("The answer is 9.", json=True) == ("9", "answer phrase")
    assert extract('{"solution": "5 \\over 2", "short answer": 2.5}', "number", json=True) == ("2.5", "json")


def test_an_unmarked_passage_counts_whole() -> None:
    text = "The sign in the middle of the picture reads NORTH EAST."
    assert extract(text, "passage") == (text, "whole text")
    assert extract(f"<think>SOUTH</think>{text}", "passage") == (text, "whole text")
    assert extract("It says SOUTH, no, wait. \\boxed{NORTH}", "passage") == ("NORTH", "boxed")


def test_a_longer_text_may_be_an_answer_by_itself() -> None:
    text = "a quick brown fox jumps"
    assert extract(text)[0] is None
    assert extract(text, longest=8) == (text, "whole text")


def test_an_option_inside_another_is_not_named() -> None:
    assert find_option("It is the red car.", {"A": "red", "B": "red car", "C": "car"}) == "B"
    assert find_option("3.5", {"A": "3", "B": "3.5", "C": "5"}) == "B"
    assert find_option("red and blue", {"A": "red", "B": "blue"}) == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("I see a rider on the horse. So yes, there is a person.", "Yes"),
        ("I looked everywhere for the second dog in there, but no", "No"),
        ("There is no doubt about the things we see here", None),
    ],
)
def test_a_concluding_yes_or_no(raw: str, expected: str | None) -> None:
    assert extract(raw, "yes_no")[0] == expected


def test_the_miniatures_answers_are_read_as_ever() -> None:
    """316 answers of the reference study, read by version 1 of the extractor."""
    with Path(__file__).with_name("extraction_reference.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) > 300
    for row in rows:
        assert extract(row["raw"], row["kind"]) == (row["extracted"] or None, row["rule"])  # type: ignore[arg-type]


@given(PROSE, WORDS, st.sampled_from(["Answer {}", "The final answer is {}.", "answer: {}", "\\boxed{{{}}}"]))
def test_a_stated_answer_is_found_after_any_prose(prose: list[str], word: str, style: str) -> None:
    raw = f"{' '.join(prose)} {style.format(word)}"
    assert extract(raw)[0] == word
    assert extract(f"<think>{raw} Answer wrong</think> {raw}")[0] == word


@given(st.text(max_size=200), st.sampled_from(KINDS))
@example("\\boxed{", "text")
@example("answer" * 20, "text")
@example("14 " + "a" * 5000 + "!", "math")
@example("The answer is " + "1" * 20_000, "number")
@example("The answer is " + "1 " * 20_000, "math")
@example("answer " + " " * 20_000, "option")
def test_any_text_gives_one_clean_answer_or_a_reason(raw: str, kind: str) -> None:
    answer, rule = extract(raw, kind)  # type: ignore[arg-type]
    assert (answer, rule) == extract(raw, kind)  # type: ignore[arg-type]
    assert rule
    assert answer is None or (answer and answer == answer.strip())
    if kind == "yes_no":
        assert answer in ("Yes", "No", None)
    if kind == "number" and answer is not None:
        float(answer)


@given(st.sampled_from(sorted(FAMILIES)), st.integers())
def test_every_worked_answer_of_the_world_is_read(family: str, seed: int) -> None:
    _, question = ask(FAMILIES[family], random.Random(seed))
    assert extract(" " + question.answer)[0] == question.answer
    if question.chain:
        assert extract(" " + question.worked()) == (question.answer, "answer phrase")
        assert not is_repetitive(question.worked())


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(4, 9), st.integers(0, 5), PROSE)
def test_loops_at_the_end_are_seen(unit: list[str], times: int, cut: int, prose: list[str]) -> None:
    loop = unit * times + unit[: cut % len(unit)]
    if len(loop) >= 8:
        assert is_repetitive(" ".join([*prose, *loop]))


@pytest.mark.parametrize("raw", ["", "no no no", "red two . blue three . two + three = five . Answer five"])
def test_no_loop(raw: str) -> None:
    assert not is_repetitive(raw)
