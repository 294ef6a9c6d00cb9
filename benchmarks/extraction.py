"""The answer extractor: finds the final answer in a model's text, by fixed rules, the same every time.

VLMEvalKit's own rules take a short answer for granted; a model that shows its steps would lose points
for style. Here the style is undone first, and the rule that fired is kept with the answer.
"""

import re
from typing import Literal

VERSION = 1

Kind = Literal["text", "yes_no", "option"]
SHORT = 4  # words that still count as an answer by themselves
_END_OF_THOUGHT = "</think>"
# "Answer eight", "the final answer is: B", "**Answer:** 42", "Answer = 7". The last one counts.
_PHRASE = re.compile(r"\banswer\b[*_\s]*(?:(?:is|was|would\s+be)\b|[:=])?[*_\s:]*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.;!](?=\s|$)")  # not the point in 3.5
_MARKUP = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}")
_OPTION = re.compile(r"^\(?([A-Z])(?:\)|\.|:|$|\s)")
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_LEADING_YES_NO = re.compile(r"^(?:yes|no)(?=\s*[,.;:!])", re.IGNORECASE)


def extract(raw: str, kind: Kind = "text") -> tuple[str | None, str]:
    """The final answer in `raw` and the name of the rule that found it; (None, reason) if there is none.

    Rules, the first that applies: a think block that never ends holds no answer ("unfinished thought");
    else only what follows it counts. Then the last \\boxed{}, the last "answer ..." phrase, the whole
    text when it is short. For `yes_no` a text that begins with yes or no, for `option` one that begins
    with a letter such as "(B)", will do; what is found is reduced to Yes or No, or to the letter.
    """
    text = raw
    if _END_OF_THOUGHT in text:
        text = text.rpartition(_END_OF_THOUGHT)[2]
    elif "<think>" in text:
        return None, "unfinished thought"
    text = text.strip()
    if not text:
        return None, "empty"
    found, rule = _find(text, kind)
    if found is None:
        return None, rule
    answer = _reduce(found, kind)
    return (answer, rule) if answer else (None, f"{rule}, but no {kind.replace('_', ' ')}")


def repeated(raw: str, times: int = 4, words: int = 8) -> bool:
    """Whether the text ends in a loop: some word sequence `times` times in a row, `words` words in all.

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


def _find(text: str, kind: Kind) -> tuple[str | None, str]:
    boxed = _boxed(text)
    if boxed is not None:
        return boxed, "boxed"
    phrase = None
    for match in _PHRASE.finditer(text):
        phrase = text[match.end() :].partition("\n")[0]
    if phrase is not None:
        return (_first_sentence(phrase), "answer phrase") if _clean(phrase) else (None, "no answer")
    if kind == "yes_no" and (leading := _LEADING_YES_NO.match(text)):
        return leading[0], "leading word"
    if kind == "option" and _OPTION.match(_clean(text)):
        return text, "leading letter"
    if len(text.split()) <= SHORT:
        return text, "whole text"
    return None, "no answer"


def _boxed(text: str) -> str | None:
    """Content of the last \\boxed{...}, braces balanced; None when there is none or it is cut off."""
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


def _clean(text: str) -> str:
    """Without LaTeX text commands, markdown emphasis, quotes, and punctuation at the ends."""
    text = _MARKUP.sub(r"\1", text).replace("$", "")
    return " ".join(text.split()).strip("*_`\"' .,;:!?")


def _reduce(found: str, kind: Kind) -> str:
    answer = _clean(found)
    if kind == "yes_no":
        words = {word.lower() for word in _YES_NO.findall(answer)}
        return words.pop().capitalize() if len(words) == 1 else ""
    if kind == "option":
        match = _OPTION.match(answer)
        return match[1] if match else ""
    return answer
