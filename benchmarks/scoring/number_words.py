"""Read numbers that are written in words, English up to millions and Chinese up to ten thousands."""

import re
import unicodedata

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {w: 10 * v for v, w in enumerate(_TENS, 2)}
_LARGE = {"thousand": 1000, "million": 10**6}
_WORD = "|".join([*_SMALL, "hundred", *_LARGE, "dozen"])
NUMBER_WORD = rf"(?:{_WORD})\b"
# "twenty-one", "one hundred and five", "a dozen"
_ENGLISH = re.compile(
    rf"\b(?:an? (?=hundred|thousand|million|dozen))?(?:{_WORD})(?:(?:[\s-]+(?:and\s+)?)(?:{_WORD}))*\b", re.I
)
_CHINESE = re.compile(r"[零〇一二两三四五六七八九十百千万]+")
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}


def find_number_words(text: str) -> list[str]:
    """Find the numbers that a text has in words, as digits, in its order."""
    return [str(_add_up(match[0])) for match in _ENGLISH.finditer(text)]


def read_chinese(text: str) -> str:
    """Read a text that is a Chinese numeral and nothing else, as digits; "" for any other text."""
    return str(_add_up_chinese(text)) if _CHINESE.fullmatch(text) and len(text) <= 12 else ""


def _add_up(words: str) -> int:
    total = group = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _SMALL:
            group += _SMALL[word]
        elif word == "hundred":
            group = max(group, 1) * 100
        elif word == "dozen":
            group = max(group, 1) * 12
        elif word in _LARGE:
            total, group = total + max(group, 1) * _LARGE[word], 0
    return total + group


def _add_up_chinese(text: str) -> int:
    total = group = digit = 0
    for sign in text:
        if sign == "万":
            total, group, digit = (total + group + digit) * 10_000, 0, 0
        elif sign in _HAN_UNITS:
            group, digit = group + max(digit, 1) * _HAN_UNITS[sign], 0
        else:
            digit = 2 if sign == "两" else int(unicodedata.numeric(sign))
    return total + group + digit
