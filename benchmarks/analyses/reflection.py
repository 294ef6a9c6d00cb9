"""Reflection: how a variant thinks aloud, counted in the dev answers that the study stored; no model is run.

FRISM (arXiv 2601.21187) shows self-reflection in merged models by examples; how it counts is not known, so
the counts are of this project. Per answer: steps (sentences and lines), reflections (words of a table by
language, `measuring/reflection_words.yaml`; `language` any: of all), corrections (an equation whose left side
came before with another result), switches (from one script to another and back), unfinished (the answer ends
within a thought). Length, truncation and loops are counted with every answer.
"""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import yaml

from benchmarks.prompting.thinking import find_closing
from benchmarks.scoring.sentences import split_sentences

WORDS = Path(__file__).parent / "measuring" / "reflection_words.yaml"
# A sum, difference, product or quotient of numbers or words, and its result.
EQUATION = re.compile(r"(?<![\w.])((?:[\w.]+\s*[-+*/×÷−]\s*)+[\w.]+)\s*=\s*([-−]?[\w.]*\w)")
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
        "corrections": count_corrections(text),
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


def count_corrections(text: str) -> int:
    """Count equations whose left side was given another result before: 3 + 5 = 7, then 3 + 5 = 8."""
    found: dict[str, str] = {}
    revised = 0
    for left, right in EQUATION.findall(text):
        side, result = "".join(left.split()).lower(), right.lower()
        revised += found.get(side, result) != result
        found[side] = result
    return revised


def count_switches(text: str) -> int:
    """Count changes of script between neighbouring letters."""
    return sum(one.lastgroup != other.lastgroup for one, other in pairwise(SIGN.finditer(text)))
