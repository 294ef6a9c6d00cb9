"""Numbers in words, read back from an independent speller and from num2words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.extraction import extract
from benchmarks.scoring.number_words import find_number_words, read_chinese

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
).split()
ONES += ["eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBERS = st.integers(0, 999_999)


def spell(number: int, joint: str, british: bool) -> str:
    """Spell a number below a million: "four thousand and six", "twenty-one"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (joint + ONES[number % 10] if number % 10 else "")
    base, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = number % base
    words = f"{spell(number // base, joint, british)} {name}"
    if not rest:
        return words
    return f"{words} {'and ' if british and rest < 100 else ''}{spell(rest, joint, british)}"


def spell_chinese(number: int) -> str:
    """Spell a number below a hundred thousand in Chinese."""
    signs, places = "零一二三四五六七八九", ["", "十", "百", "千", "万"]
    words, digits = "", str(number)
    for place, digit in enumerate(digits):
        rank = len(digits) - 1 - place
        if digit != "0":
            words += signs[int(digit)] + places[rank]
        elif words and not words.endswith("零") and digits[place:].strip("0"):
            words += "零"
    return words or "零"


@given(NUMBERS, st.sampled_from(["-", " "]), st.booleans(), st.booleans())
def test_spelt_numbers_are_read_back(number: int, joint: str, british: bool, capital: bool) -> None:
    words = spell(number, joint, british)
    words = words.capitalize() if capital else words
    assert find_number_words(words) == [str(number)]
    assert find_number_words(f"We see {words} of them.") == [str(number)]


@given(NUMBERS)
def test_num2words_is_read_back(number: int) -> None:
    num2words = pytest.importorskip("num2words").num2words
    assert find_number_words(num2words(number).replace(",", "")) == [str(number)]


@given(st.integers(0, 99_999))
def test_chinese_numerals_are_read_back(number: int) -> None:
    words = spell_chinese(number)
    assert read_chinese(words) == str(number)
    if words.startswith("一十"):  # as it is said
        assert read_chinese(words[1:]) == str(number)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=5))
def test_numbers_between_words_stay_apart(numbers: list[int]) -> None:
    text = ", then ".join(spell(number, "-", True) for number in numbers)
    assert find_number_words(text) == [str(number) for number in numbers]


@given(NUMBERS.filter(bool), st.sampled_from(["The answer is {}.", "\\boxed{{{}}}", "**Answer:** {} apples"]))
def test_an_answer_in_words_is_a_number(number: int, style: str) -> None:
    assert extract(style.format(spell(number, "-", True)), "number")[0] == str(number)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a dozen eggs", ["12"]),
        ("two dozen", ["24"]),
        ("a hundred and one", ["101"]),
        ("three million two hundred thousand", ["3200000"]),
        ("someone often tends to weigh the phone", []),
        ("the tone of the ninetieth bone", []),
        ("", []),
    ],
)
def test_words_and_no_words(text: str, numbers: list[str]) -> None:
    assert find_number_words(text) == numbers


@pytest.mark.parametrize("text", ["", "三只猫", "abc", "一" * 13])
def test_no_chinese_numeral(text: str) -> None:
    assert read_chinese(text) == ""
