"""VLMEvalKit's own reading, where ours finds nothing: its letter or word, and no article or pronoun."""

from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scoring.expected import ExpectedAnswer
from benchmarks.scoring.stock_reading import read_by_stock_rule

OPTIONS = {"A": "pine", "B": "oak", "C": "birch", "I": "willow"}
OPTION, YES_NO = ExpectedAnswer("option", OPTIONS), ExpectedAnswer("yes_no")
WORDS = st.lists(
    st.sampled_from(
        ["A", "B", "C", "I", "(B)", "B.", "A,", "pine", "Oak.", "birch", "tree", "see", "is", "not", "so"]
    ),
    max_size=8,
).map(" ".join)


@given(WORDS)
@settings(deadline=None, max_examples=40)
def test_a_letter_is_the_one_that_vlmevalkit_reads(text: str) -> None:
    read = read_by_stock_rule(text, OPTION)
    theirs = import_module("vlmeval.utils.matching_util").can_infer(text, dict(OPTIONS)) if text else False
    assert read in (None, theirs)
    if theirs in ("B", "C"):
        assert read == theirs
    assert read_by_stock_rule(f"<think>{text}", OPTION) is None
    assert read_by_stock_rule(f"<think>B birch</think>{text}", OPTION) == read


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("It looks like A tree to me", None),
        ("I see nothing", None),
        ("A", "A"),
        ("We say B then", "B"),
        ("A or B", None),
        ("Z", None),
        ("", None),
        ("this is a birch", "C"),
        ("<think>only a thought</think>", None),
    ],
)
def test_options(text: str, letter: str | None) -> None:
    assert read_by_stock_rule(text, OPTION) == letter


@pytest.mark.parametrize(
    ("text", "word"),
    [("yes it does", "Yes"), ("No, none", "No"), ("yes and no", None), ("perhaps", None), ("", None)],
)
def test_yes_and_no(text: str, word: str | None) -> None:
    assert read_by_stock_rule(text, YES_NO) == word


@pytest.mark.parametrize("kind", ["number", "math", "text", "options", "passage"])
def test_other_kinds_are_not_read(kind: str) -> None:
    assert read_by_stock_rule("B. 5", ExpectedAnswer(kind, OPTIONS)) is None  # type: ignore[arg-type]
    assert read_by_stock_rule("B", ExpectedAnswer("option")) is None
