"""Options that are formulas or words: found by value however they are written, and never another one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scoring.extraction import extract
from benchmarks.scoring.option_values import (
    clean_text,
    find_option,
    is_formula_like,
    make_canonical,
    match_value,
    match_whole,
)
from tests.support.latex_options import make_question

QUESTIONS = 4000
STYLES = {
    "boxed": "So \\boxed{{{}}}.",
    "boxed in mathematics": "Thus the value is $\\boxed{{{}}}$, as 2 and 3 show.",
    "boxed equation": "\\boxed{{y = {}}}",
    "phrase": "The answer is ${}$.",
    "last sentence": "We see 3 of them. So it is ${}$.",
}
SEEDS = st.integers(0, 10**6)


def _say(style: str, answer: str) -> str:
    answer = answer.replace("$", "")
    if style == "boxed":  # as models write it, every other one with \dfrac
        answer = answer.replace("\\frac", "\\dfrac") if len(answer) % 2 else answer
    return STYLES[style].format(answer)


@pytest.mark.parametrize("style", STYLES)
def test_the_right_one_of_formulas_is_read(style: str) -> None:
    rng = random.Random(style)
    wrong, unread = [], []
    questions = QUESTIONS if style in ("boxed", "boxed in mathematics", "phrase") else QUESTIONS // 4
    for _ in range(questions):
        kind, options, letter, writings = make_question(rng)
        raw = _say(style, rng.choice(writings))
        found, rule = extract(raw, "option", options, longest=12)
        if found is None:
            unread.append((kind, raw, options, rule))
        elif found != letter:
            wrong.append((kind, raw, options, found, rule))
    assert len(wrong) <= questions * 0.001, wrong[:5]
    assert len(unread) <= questions * 0.03, unread[:5]


@pytest.mark.parametrize("style", STYLES)
def test_a_value_that_is_no_option_gives_no_letter(style: str) -> None:
    """Another option is as near as can be, and is not taken."""
    rng = random.Random(style)
    given_letters = []
    for _ in range(QUESTIONS // 4):
        kind, options, letter, writings = make_question(rng)
        raw = _say(style, rng.choice(writings))
        others = {other: text for other, text in options.items() if other != letter}
        found, rule = extract(raw, "option", others, longest=12)
        if found is not None:
            given_letters.append((kind, raw, others, found, rule))
    assert len(given_letters) <= QUESTIONS // 4 * 0.001, given_letters[:5]


@given(SEEDS)
@settings(deadline=None)
def test_an_option_is_its_own_value_alone(seed: int) -> None:
    _, options, _, _ = make_question(random.Random(seed))
    for letter, text in options.items():
        assert match_whole(text, options) == letter
        assert match_value(text, options) == letter
        assert match_value(text, {other: o for other, o in options.items() if other != letter}) == ""
        assert match_value(text, options | {"F": text}) == ""  # two of one value


@given(st.text(max_size=80))
def test_forms_are_final(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)
    assert make_canonical(text) == make_canonical(f" **{text}** ")


WORDS = st.text("abcdefgh", min_size=4, max_size=8)


@given(st.lists(WORDS, min_size=2, max_size=6, unique=True), st.data())
def test_the_option_that_a_sentence_names(words: list[str], data: st.DataObject) -> None:
    options = dict(zip("ABCDEF", words, strict=False))
    letter = data.draw(st.sampled_from(sorted(options)))
    assert find_option(f"It is the {options[letter].upper()}, I say.", options) == letter
    other = data.draw(st.sampled_from(sorted(options)))
    if other != letter:
        assert find_option(f"It is the {options[letter]} or the {options[other]}.", options) == ""
    assert find_option(f"It is the {options[letter]}xyz.", options) == ""


@pytest.mark.parametrize(
    ("text", "options", "letter"),
    [
        ("12 cm", {"A": "12 cm", "B": "12 m"}, "A"),
        ("12", {"A": "12 cm", "B": "12 m"}, ""),
        ("12 m", {"A": "12 cm", "B": "13 cm"}, ""),
        ("1,200", {"A": "120", "B": "1200"}, "B"),
        ("x = 5", {"A": "5", "B": "6"}, "A"),
        ("2:3", {"A": "$3: 2$", "B": "$2: 3$"}, "B"),
        ("0.5", {"A": "\\frac{1}{2}", "B": "\\frac{1}{3}"}, "A"),
        ("50%", {"A": "50\\%", "B": "0.5"}, "A"),
        ("−3", {"A": "3", "B": "-3"}, "B"),
        ("3.0", {"A": "3", "B": "30"}, "A"),
        ("", {"A": "", "B": "x"}, ""),
        ("saw", {"A": "was", "B": "tree"}, ""),
    ],
)  # fmt: skip
def test_values(text: str, options: dict[str, str], letter: str) -> None:
    assert match_value(text, options) == letter


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("\\frac{1}{2}", True),
        ("x = 5", True),
        ("3 + 4", True),
        ("2√3", True),
        ("n^2", True),
        ("12 cm", False),
        ("the red car", False),
        ("B", False),
        ("50\\%", False),
        ("\\text{the red car}", False),
        ("the sum 3 + 4", False),
    ],
)
def test_what_looks_like_a_formula(text: str, formula: bool) -> None:
    assert is_formula_like(text) is formula


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("It is the red car.", "B"),
        ("I cannot see a car", "C"),
        ("No, it is not", ""),
        ("no", "D"),
        ("a", "E"),
        ("a thing", ""),
        ("1/35", ""),
        ("35 of them", "F"),
        ("35%", "F"),
        ("3.5", ""),
    ],
)
def test_common_words_and_numbers(text: str, letter: str) -> None:
    options = {"A": "red", "B": "red car", "C": "car", "D": "no", "E": "a", "F": "35"}
    assert find_option(text, options) == letter
