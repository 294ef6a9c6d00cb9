"""Reflection: how a variant thinks aloud, counted in the dev answers that the study stored; no model is run.

FRISM (arXiv 2601.21187) shows self-reflection in merged models by examples; how it counts is not known, so
the counts are of this project. Per answer: steps (sentences and lines), reflections (words of a table by
language, `measuring/reflection_words.yaml`; `language` any: of all), corrections (an equation whose left side
came before with another result; in the miniature's language, which has no such words, a tile that was read
otherwise before), rereads (a tile read again), switches (from one script to another and back), unfinished
(the answer ends within a thought). Length, truncation and loops are counted with every answer.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import yaml

from benchmarks.miniature.world import COLORS, UNITS
from benchmarks.prompting.thinking import find_closing
from benchmarks.scoring.sentences import split_sentences

WORDS = Path(__file__).parent / "measuring" / "reflection_words.yaml"
# A sum, difference, product or quotient of numbers or words, and its result.
EQUATION = re.compile(r"(?<![\w.])((?:[\w.]+\s*[-+*/×÷−]\s*)+[\w.]+)\s*=\s*([-−]?[\w.]*\w)")
# What the miniature's chains read off a picture: `red three .`
READING = re.compile(rf"(?<!\w)({'|'.join(COLORS)}) ({'|'.join(UNITS)}) \.")
# Scripts by the signs that tell them; digits and punctuation belong to none.
SCRIPTS = {
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
    "han": re.compile(r"[\u4e00-\u9fff\u3040-\u30ff]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "hangul": re.compile(r"[\uac00-\ud7af]"),
}
SIGN = re.compile("|".join(f"(?P<{name}>{script.pattern})" for name, script in SCRIPTS.items()))


def read(text: str, *, language: Literal["any", "english", "chinese"] = "any") -> dict[str, int]:
    """Count what an answer shows of reflection."""
    return {
        "steps": len(split_sentences(text)),
        "reflections": len(compile_words(language).findall(text)),
        "corrections": count_revised(list_equations(text)) + count_revised(READING.findall(text)),
        "rereads": count_repeated(READING.findall(text)),
        "switches": count_switches(text),
        "unfinished": int(bool(find_closing(text))),
    }


@cache
def compile_words(language: str) -> re.Pattern[str]:
    """Compile the words of a language, or of all, the longest first; words of Latin letters stand alone."""
    table: dict[str, list[str]] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    words = [word for name, own in table.items() if language in (name, "any") for word in own]
    spelt = [
        rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word)
        for word in sorted(words, key=len, reverse=True)
    ]
    return re.compile("|".join(spelt), re.IGNORECASE)


def list_equations(text: str) -> list[tuple[str, str]]:
    """List left sides and results of equations, without spaces and in small letters."""
    return [("".join(left.split()).lower(), right.lower()) for left, right in EQUATION.findall(text)]


def count_revised(stated: Iterable[tuple[str, str]]) -> int:
    """Count what was said to be something else before: 3 + 5 = 7, then 3 + 5 = 8."""
    found: dict[str, str] = {}
    revised = 0
    for subject, result in stated:
        revised += found.get(subject, result) != result
        found[subject] = result
    return revised


def count_repeated(stated: Sequence[tuple[str, str]]) -> int:
    """Count what something was said of before."""
    return len(stated) - len({subject for subject, _ in stated})


def count_switches(text: str) -> int:
    """Count changes of script between neighbouring letters."""
    return sum(one.lastgroup != other.lastgroup for one, other in pairwise(SIGN.finditer(text)))
