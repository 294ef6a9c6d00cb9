"""Extract the final answer from a model's text, by fixed rules, the same every time.

VLMEvalKit's own rules take a short answer for granted; a model that shows its steps would lose points
for style. Here the style is undone first, and the rule that fired is kept with the answer.
"""

import re
from collections.abc import Iterator
from typing import Literal

from benchmarks.scoring.answer_forms import Options, clean, letters_alone, named, reduce

VERSION = 2

Kind = Literal["text", "yes_no", "option", "options", "number", "math", "passage"]
SHORT = 4  # words that still count as an answer by themselves
_END_OF_THOUGHT = "</think>"
# "Answer eight", "the final answer is: B", "**Answer:** 42", "Answer = 7". The last one counts.
_PHRASE = re.compile(r"\banswer\b[*_\s]*(?:(?:is|was|would\s+be)\b|[:=])?[*_\s:]*", re.IGNORECASE)
# The same where a letter or a number is looked for: "to answer this" is no answer, "<Answer>: <<B>>" is.
_STATED = re.compile(
    r"\banswer\b[*_\s>\"']*(?:(?:option|choice|letter)s?\s+)?"
    r"(?:(?:is|are|was|would\s+be|should\s+be|must\s+be)\b|[:=]|(?=[(\[]?(?:(?-i:[A-Z])\b|[-+$]?\d|\\)))[*_\s:<\"']*",
    re.IGNORECASE,
)
_CHOSEN = re.compile(r"\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)s?\b(?:\s+is)?[\s*_:(\[]*([A-Z])\b")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_SHORT_ANSWER = re.compile(r'"short[ _]answer"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([^",}\n]+))', re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.;!](?=\s|$)")  # not the point in 3.5
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_LEADING_LETTER = re.compile(r"^[*_\s]*[(\[]?[A-Z](?:[)\].:,*]|\s*$|\s*\n)")
_LEADING_YES_NO = re.compile(r"^(?:yes|no)(?=\s*[,.;:!])", re.IGNORECASE)
_CONCLUDING_YES_NO = re.compile(
    r"(?:^(?:(?:so|thus|hence|therefore)\b,?\s*)?(yes|no)\b(?=\s*[,.;:!]))|\b(yes|no)\W*$", re.IGNORECASE
)
_LAST_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


def extract(
    raw: str,
    kind: Kind = "text",
    options: Options | None = None,
    *,
    longest: int = SHORT,
    json: bool = False,
) -> tuple[str | None, str]:
    """Find the final answer in `raw` and name the rule that found it; (None, reason) if there is none.

    A think block that never ends holds no answer ("unfinished thought"); else only what follows it counts.
    Then the last \\boxed{}, the last <answer> tag, the last "answer ..." phrase, the whole text when it is
    short. Without any of these, the last sentence is asked for a yes or no, an option's letter or text, or
    a number. What is found is reduced to the kind (`benchmarks.scoring.answer_forms`).

    Args:
        kind: `yes_no`: Yes or No; `option`: a letter; `options`: letters, as "A, C"; `number`: a plain
            decimal without unit; `math`: LaTeX, or a number without its unit; `passage`: an unmarked text
            counts whatever its length.
        options: option texts by letter, where they are known; then only these letters count.
        longest: words up to which an unmarked text is an answer by itself.
        json: whether a JSON object with "short answer" was asked for; it is looked for first.
    """
    options = options or {}
    text = raw
    if _END_OF_THOUGHT in text:
        text = text.rpartition(_END_OF_THOUGHT)[2]
    elif "<think>" in text:
        return None, "unfinished thought"
    text = text.strip()
    if not text:
        return None, "empty"
    first_failure = ""
    for stated, rule in _candidates(text, kind, options, longest, json):
        if stated is None:
            return None, first_failure or rule
        if answer := reduce(stated, kind, options):
            return answer, rule
        first_failure = first_failure or f"{rule}, but no {kind.replace('_', ' ')}"
        if kind in ("text", "yes_no"):
            break
    return None, first_failure or "no answer"


def repeated(raw: str, times: int = 4, words: int = 8) -> bool:
    """Tell whether the text ends in a loop: some word sequence `times` times in a row, `words` words in all.

    The last round may be cut off.
    """
    tokens = raw.split()
    for period in range(1, len(tokens) // times + 1):
        same = 0
        while same < len(tokens) - period and tokens[-1 - same] == tokens[-1 - same - period]:
            same += 1
        if same + period >= max(words, times * period):
            return True
    return False


def _candidates(
    text: str, kind: Kind, options: Options, longest: int, json: bool
) -> Iterator[tuple[str | None, str]]:
    """List stated answers with their rules, the best first; None where the search ends without one."""
    if json and (stated := _SHORT_ANSWER.findall(text)):
        yield re.sub(r"\\(.)", r"\1", stated[-1][0]) if stated[-1][0] else stated[-1][1], "json"
    if (boxed := _boxed(text)) is not None:
        yield boxed, "boxed"
    if tags := _TAG.findall(text):
        yield tags[-1], "answer tag"
    in_words = kind in ("text", "yes_no")
    for match in reversed(list((_PHRASE if in_words else _STATED).finditer(text))):
        phrase = text[match.end() :].partition("\n")[0]
        if clean(phrase):
            yield _first_sentence(phrase), "answer phrase"
        elif in_words:
            yield None, "no answer"
    yield from _unmarked(text, kind, options, longest)


def _unmarked(text: str, kind: Kind, options: Options, longest: int) -> Iterator[tuple[str | None, str]]:
    """List candidates where nothing in the text says "answer"."""
    last = [s for s in _SENTENCES.split(text) if s.strip()][-1]
    if kind == "yes_no" and (leading := _LEADING_YES_NO.match(text)):
        yield leading[0], "leading word"
    if kind in ("option", "options") and _LEADING_LETTER.match(text):
        yield text.partition("\n")[0], "leading letter"
    if len(text.split()) <= longest:
        yield text, "whole text"
    if kind == "passage":
        yield text, "whole text"
    if kind == "yes_no" and (concluding := _CONCLUDING_YES_NO.search(last)):
        yield concluding[1] or concluding[2], "last sentence"
    if kind == "option":
        for letters in (set(_CHOSEN.findall(last)), letters_alone(last, options), set(named(last, options))):
            if len(letters) == 1:
                yield letters.pop(), "last sentence"
    if kind == "options" and (letters := letters_alone(last, options)):
        yield ", ".join(sorted(letters)), "last sentence"
    if kind == "number" and (numbers := _LAST_NUMBER.findall(last) or _LAST_NUMBER.findall(text)):
        yield numbers[-1], "last number"
    yield None, "no answer"


def _boxed(text: str) -> str | None:
    """Find the content of the last \\boxed{...}, braces balanced; None if there is none or it is cut off."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for position in range(begin - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position]
    return None


def _first_sentence(text: str) -> str:
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0] or text
