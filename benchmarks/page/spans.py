"""Find where in a model's text the answer stands that was read from it, to mark it for a reader."""

import re

from benchmarks.prompting.thinking import find_spoken
from benchmarks.scoring.stated_answers import find_box, find_phrases, find_tag

TRIES = 40  # occurrences of a short answer within longer words that are passed over


def find_span(raw: str, extracted: str | None) -> tuple[int, int] | None:
    """Find (start, end) of the extracted answer in `raw`, in UTF-16 units as browsers count; None without.

    The last occurrence as a word of its own; where the answer was written otherwise (a word for a number, an
    option's text for its letter), the statement that it was read from.
    """
    if not extracted:
        return None
    span = _find_word(raw, extracted) or _find_statement(raw)
    return None if span is None else (_count_units(raw[: span[0]]), _count_units(raw[: span[1]]))


def _find_word(raw: str, word: str) -> tuple[int, int] | None:
    low, wanted, end = raw.lower(), word.lower(), len(raw)
    if len(low) != len(raw):  # a letter whose small form is longer
        low, wanted = raw, word
    for _ in range(TRIES):
        start = low.rfind(wanted, 0, end)
        if start < 0:
            return None
        stop = start + len(wanted)
        before, after = low[start - 1 : start], low[stop : stop + 1]
        inside = (before.isalnum() and wanted[0].isalnum()) or (after.isalnum() and wanted[-1].isalnum())
        if not inside:
            return start, stop
        end = stop - 1
    return None


def _find_statement(raw: str) -> tuple[int, int] | None:
    spoken = find_spoken(raw)
    if not spoken or (offset := raw.rfind(spoken)) < 0:
        return None
    found = [
        s for s in (find_box(spoken), find_tag(spoken), *list(find_phrases(spoken, in_words=False))[-1:]) if s
    ]
    for statement in sorted(found, key=lambda s: s.start, reverse=True):
        place = spoken.find(statement.text, statement.start, statement.end + len(statement.text))
        if place >= 0 and re.search(r"\w", statement.text):
            return offset + place, offset + place + len(statement.text)
    return None


def _count_units(text: str) -> int:
    return len(text) + sum(ord(sign) > 0xFFFF for sign in text) if not text.isascii() else len(text)
