"""Sentences: cut where they end, and nowhere else; nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.sentences import split_sentences, take_first_sentence

WORDS = st.lists(
    st.sampled_from(["the", "tile", "is", "red", "3.5", "we", "add", "x", "(so)", "B"]), min_size=1
)
# Ends with a word that is no initial and no abbreviation, so that its point is an end.
SENTENCES = st.builds("We {} there{}".format, WORDS.map(" ".join), st.sampled_from([".", "!", "?"]))


@given(st.lists(SENTENCES, max_size=6), st.sampled_from([" ", "\n", "\n\n"]))
def test_sentences_are_found_again(sentences: list[str], joint: str) -> None:
    assert split_sentences(joint.join(sentences)) == sentences


@given(st.text(max_size=200))
def test_nothing_is_lost(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
    assert text.strip().startswith(take_first_sentence(text))
    assert take_first_sentence(text) or not text.strip()


@pytest.mark.parametrize(
    "sentence",
    [
        "We see Dr. Smith and Mrs. Lee at 5 p.m. in St. Louis.",
        "The values are e.g. 3.5 and 7, cf. Fig. 3.",
        "It is No. 7 in the list.",
        "The poem by J. R. Miller is short.",
        "The letter of option B. Canola fits.",
        'The sign reads "Roast Duck." all day.',
    ],
)
def test_points_that_end_nothing(sentence: str) -> None:
    found = split_sentences(f"First. {sentence} Then more.")
    assert found[0] == "First." and found[-1] == "Then more."
    if '"' not in sentence:
        assert found == ["First.", sentence, "Then more."]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("。", ["。"]),
        ("一共有三只。所以选B。", ["一共有三只。", "所以选B。"]),
        ('It says "Stop." So yes.', ['It says "Stop."', "So yes."]),
        ("It is 5. 6 is wrong.", ["It is 5.", "6 is wrong."]),
        ("a\n\n\nb", ["a", "b"]),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("B. It is red.", False, "B"),
        ("J. K. Rowling. She wrote it.", True, "J. K. Rowling"),
        ("Dr. Smith. I am sure.", True, "Dr. Smith"),
        ("Acme Inc. of Ohio. Yes.", True, "Acme Inc. of Ohio"),
        ("3.5; no more", False, "3.5"),
        ("红色。是的", False, "红色"),
        (".", False, "."),
    ],
)
def test_first_sentences(text: str, names: bool, first: str) -> None:
    assert take_first_sentence(text, names=names) == first
