"""Extract the final answer from a model's text, by fixed rules, the same every time.

VLMEvalKit's own rules take a short answer for granted; a model that shows its steps would lose points
for style. Here the style is undone first, and the rule that fired is kept with the answer.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from benchmarks.prompting.thinking import find_spoken
from benchmarks.scoring.answer_forms import is_exact, reduce_answer
from benchmarks.scoring.option_values import Options, clean_text, is_formula_like
from benchmarks.scoring.stated_answers import (
    Statement,
    drop_next_question,
    find_box,
    find_json,
    find_phrases,
    find_tag,
)
from benchmarks.scoring.unmarked_answers import read_unmarked

VERSION = 3

Kind = Literal["text", "yes_no", "option", "options", "number", "math", "passage"]
NOTHING = "no answer"  # the reason where no rule found anything
MAX_WORDS = 4  # words that still count as an answer by themselves
_LONGEST = 50_000  # characters at the end of a text in which an answer may stand
_WORDS = ("text", "passage")  # kinds whose answers are words, of which nothing may be changed
# Letters and digits of other widths and faces, and the punctuation of full width.
_WIDE = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff。\u200b-\u200d\ufeff]")
_NARROW = str.maketrans(
    {
        sign: unicodedata.normalize("NFKC", sign)
        for first, last in (("\uff01", "\uff5e"), ("\U0001d400", "\U0001d7ff"))
        for sign in map(chr, range(ord(first), ord(last) + 1))
    }
    | {"。": ". ", "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": ""}
)


def extract(
    raw: str,
    kind: Kind = "text",
    options: Options | None = None,
    *,
    longest: int = MAX_WORDS,
    json: bool = False,
) -> tuple[str | None, str]:
    """Find the final answer in `raw` and name the rule that found it; (None, reason) if there is none.

    A thought that never ends holds no answer ("unfinished thought"); else only what follows it counts
    (`benchmarks.prompting.thinking`). Then the last \\boxed{} or <answer> tag, whichever is later, unless a
    phrase behind it states another answer; the last "answer ..." phrase; the whole text when it is short.
    Without any of these, leading words, lines and the last sentence are read. What is found is reduced to
    the kind (`benchmarks.scoring.answer_forms`). A box, tag or formula that is no answer of the kind ends the
    search: what stands around it is weaker.

    Args:
        kind: `yes_no`: Yes or No; `option`: a letter; `options`: letters, as "A, C"; `number`: a plain
            decimal without unit; `math`: LaTeX, or a number without its unit; `passage`: an unmarked text
            counts whatever its length.
        options: option texts by letter, where they are known; then only these letters count.
        longest: words up to which an unmarked text is an answer by itself.
        json: whether a JSON object with "short answer" was asked for; it is looked for first.
    """
    options = options or {}
    text = find_spoken(raw)
    if text is None:
        return None, "unfinished thought"
    text = text[-_LONGEST:]  # before and after: what is written narrow may be longer
    text = (text if kind in _WORDS else _narrow(text))[-_LONGEST:].strip()
    if not text:
        return None, "empty"
    first_failure = ""
    for stated, rule in _list_candidates(text, kind, options, longest, json):
        if stated is None:
            return None, first_failure or rule
        if answer := reduce_answer(stated, kind, options):
            return answer, rule
        first_failure = first_failure or f"{rule}, but no {kind.replace('_', ' ')}"
        if kind == "text":
            break
    return None, first_failure or NOTHING


def _list_candidates(
    text: str, kind: Kind, options: Options, longest: int, json: bool
) -> Iterator[tuple[str | None, str]]:
    """List stated answers with their rules, the best first; None where the search ends without one."""
    in_words = kind in ("text", "yes_no", "passage")
    if not in_words:
        text = drop_next_question(text)
    statements = [found for found in (find_box(text), find_tag(text)) if found]
    statements.sort(key=lambda found: found.start, reverse=True)
    phrases = list(find_phrases(text, in_words=in_words))
    if json and (field := find_json(text)):
        statements.insert(0, field)
    last = statements[0].end if statements else len(text)
    corrections = [p for p in phrases if p.start >= last and is_exact(p.text, kind, options)]
    weaker = True
    for found in _order(corrections, statements, phrases):
        if clean_text(found.text):
            yield found.text, found.rule
            weaker = weaker and (
                in_words or (found.rule == "answer phrase" and not is_formula_like(clean_text(found.text)))
            )
            if kind == "number" and re.search(r"\d", found.text):  # a range, or a time of the day
                weaker = False
        elif in_words:
            yield None, NOTHING
    if not weaker:
        yield None, "no weaker rule"
    yield from read_unmarked(text, kind, options, longest)


def _order(
    corrections: list[Statement], statements: list[Statement], phrases: list[Statement]
) -> Iterator[Statement]:
    """Order statements: a later phrase that is an answer and nothing else goes before a box or a tag."""
    yield from corrections
    yield from statements
    yield from (phrase for phrase in phrases if phrase not in corrections)


def _narrow(text: str) -> str:
    """Write letters, digits and punctuation of other widths and faces as ASCII; drop signs of no width."""
    return text.translate(_NARROW) if _WIDE.search(text) else text
