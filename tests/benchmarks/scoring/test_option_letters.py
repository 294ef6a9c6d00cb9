"""Letters that stand for options, and letters that do not: articles, points, units, denied ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.option_letters import (
    is_word,
    names_several,
    read_leading_letter,
    read_letters,
    read_lone_letter,
)

OPTIONS = {
    letter: f"the {word} thing" for letter, word in zip("ABCD", ("red", "blue", "old", "new"), strict=True)
}
LETTERS = st.sampled_from("ABCD")
MEANT = st.sampled_from(
    [
        "({})",
        "**{}**",
        "option {}",
        "the choice is {}",
        "we choose {}",
        "so it must be {}",
        "选{}",
        "[{}]",
        "Therefore {}.",
        "it is {}",
        "answer: {}",
    ]
)
DENIED = st.sampled_from(
    [
        "it is not {}",
        "option {} is wrong",
        "({}) is incorrect",
        "{} is not right",
        "it is neither {}",
        "option {} does not fit",
        "we exclude option {}",
    ]
)
NO_OPTION = st.sampled_from(
    [
        "the angle {} is right",
        "∠{}",
        "the point {}",
        "12 {}",
        "{}² is small",
        "{}'s line",
        "{}B is a chord",
        "is ${}=3$",
        "the line is {}-shaped",
        "is {} + 2",
    ]
)


@given(LETTERS, MEANT)
def test_letters_that_are_meant(letter: str, phrase: str) -> None:
    assert read_letters(phrase.format(letter), OPTIONS) == {letter}
    assert read_letters(phrase.format(letter), {}) == {letter}
    assert read_letters(phrase.format("E"), OPTIONS) == set()


@given(LETTERS, LETTERS, MEANT, DENIED)
def test_denied_letters_do_not_count(letter: str, other: str, meant: str, denied: str) -> None:
    assert read_letters(denied.format(letter), OPTIONS) == set()
    if letter != other:
        assert read_letters(f"{denied.format(letter)}. {meant.format(other)}", OPTIONS) == {other}


@pytest.mark.parametrize(
    "text", ["it is not A; (B)", "It is not A, B it is: option B.", "not (A), but **(B)**; (A), (B)"]
)
def test_a_denied_letter_in_a_list_does_not_count(text: str) -> None:
    assert read_letters(text, OPTIONS) == {"B"}


@given(LETTERS, NO_OPTION)
def test_letters_that_mean_something_else(letter: str, phrase: str) -> None:
    assert read_letters(phrase.format(letter), OPTIONS) == set()


@given(
    st.sampled_from(["car", "red thing", "person", "drawing"]),
    st.sampled_from(["It is A {}", "the answer is A {}"]),
)
def test_articles(noun: str, phrase: str) -> None:
    assert read_letters(phrase.format(noun), {}) == set()


@given(st.sets(LETTERS, min_size=2), st.sampled_from([", ", " and ", " or ", " & ", ", and "]))
def test_several_letters(letters: set[str], joint: str) -> None:
    for form in ("{}", "({})", "**{}**"):
        text = joint.join(form.format(letter) for letter in sorted(letters))
        assert names_several(text, OPTIONS)
        assert not names_several(text, {"A": "x"})
    assert read_letters(f"option {joint.join(sorted(letters))}", OPTIONS) == letters


@given(
    LETTERS,
    st.sampled_from(["{}", "({})", "**{}**", " {}. ", "[{}]", "`{}`", "*{}*", "- {}", '"{}"']),
    st.booleans(),
)
def test_a_letter_alone(letter: str, form: str, small: bool) -> None:
    text = form.format(letter.lower() if small else letter)
    assert read_lone_letter(text, OPTIONS) == letter
    assert read_lone_letter(text, {"Z": "x"}) == ""
    assert read_lone_letter(f"{text} x", OPTIONS) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B. the blue thing", ("B", True)),
        ("(C) the old thing", ("C", True)),
        ("B because it is blue", ("B", True)),
        ("A, since it is red", ("A", True)),
        ("D", ("D", True)),
        ("A car", ("A", False)),
        ("B = 5", ("", False)),
        ("C \\approx 3", ("", False)),
        ("A is wrong", ("", False)),
        ("E. none", ("", False)),
        ("the B", ("", False)),
        ("", ("", False)),
    ],
)
def test_leading_letters(text: str, expected: tuple[str, bool]) -> None:
    assert read_leading_letter(text, OPTIONS) == expected


@pytest.mark.parametrize(
    ("letter", "following", "word"),
    [
        ("A", " car", True),
        ("I", " see", True),
        ("A", " because", False),
        ("B", " car", False),
        ("A", "", False),
        ("A", ". car", False),
        ("A", " Car", False),
    ],
)
def test_words_of_one_letter(letter: str, following: str, word: bool) -> None:
    assert is_word(letter, following) is word


def test_sets_and_figures() -> None:
    assert read_letters("It belongs to Set B", OPTIONS, sets=True) == {"B"}
    assert read_letters("It belongs to Set B", OPTIONS) == set()
