"""Loops at the end of a text: of words, of signs without spaces; tables, rules and prose are none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.repetition import is_repetitive

UNITS = st.text("abcxyz\\{}=1+选是的", min_size=1, max_size=40).filter(
    lambda unit: set(unit) - set("-=_|+:.*~# ")
)
PROSE = "First we look at the picture and count what lies on the left side of it. "
NOUNS = ["cat", "tree", "river", "angle", "sum", "bottle", "chart", "line", "value", "ship", "leaf", "price"]
VERBS = ["shows", "holds", "beats", "meets", "gives", "needs", "keeps", "finds"]


@given(UNITS, st.integers(0, 39), st.sampled_from(["", PROSE]))
def test_loops_without_spaces_are_seen(unit: str, cut: int, prose: str) -> None:
    rounds = max(4, 80 // len(unit) + 1)
    assert is_repetitive(prose + unit * rounds + unit[: cut % len(unit)])


@pytest.mark.parametrize(
    "loop",
    [
        "!" * 600,
        "\\frac{1}{2}" * 50,
        "<|im_end|>" * 30,
        "<|endoftext|>\n" * 30,
        "所以答案是三。" * 20,
        "我们再看一遍图片，" * 15,
        "0" * 400,
        "12" * 100,
        "-" * 300,
        "I think it is B. " * 10,
        "A B " * 10,
        "\\quad" * 60,
        "🙂" * 100,
        "\n\nThe answer is 4." * 8,
    ],
)
def test_loops(loop: str) -> None:
    assert is_repetitive(loop)
    assert is_repetitive(PROSE + loop)
    assert is_repetitive(PROSE + loop + "  \n")
    assert not is_repetitive(loop[: len(loop) // 2] + "\n" + PROSE)  # it came out of the loop


@given(st.integers(), st.integers(3, 40))
def test_prose_is_no_loop(seed: int, length: int) -> None:
    rng = random.Random(seed)
    said = [f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} a {rng.choice(NOUNS)}" for _ in range(length)]
    assert not is_repetitive(". ".join([*said, "So it is done"]) + ".")


@given(st.integers(0, 10**400))
def test_numbers_are_no_loop(number: int) -> None:
    text = str(number)
    if not any(text.endswith(text[-period:] * 4) for period in range(1, len(text) // 4 + 1)):
        assert not is_repetitive(text)


@given(
    st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=2, max_size=30, unique_by=str)
)
def test_tables_are_no_loop(rows: list[list[int]]) -> None:
    table = "\n".join(["| a | b | c |", "|---|---|---|", *("| {} | {} | {} |".format(*row) for row in rows)])
    assert not is_repetitive(f"{PROSE}\n\n{table}\n| x | y | total |")
    assert not is_repetitive(f"{PROSE}\n\n{table}\n\nSo the sum is {sum(rows[0])}.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-" * 80,
        "=" * 100,
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| x | 0 | 0 | 0 | 0 |",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
        "no no no",
        "ha ha ha ha",
        "\\begin{pmatrix} 0 & 0 & 0 \\\\ 0 & 1 & 0 \\\\ 0 & 0 & 0 \\end{pmatrix}",
        "1/3 = 0.333333333333",
        "x" * 40,
        "A. 1\nB. 2\nC. 3\nD. 4",
        "2 * 2 * 2 * 2 * 2 = 32",
        PROSE * 3,
        "." * 60,
    ],
)
def test_no_loops(text: str) -> None:
    assert not is_repetitive(text)
