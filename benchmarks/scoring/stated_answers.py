"""Find where a text states its answer: a JSON field, a box, a tag, a phrase such as "the answer is"."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scoring.option_values import clean_text
from benchmarks.scoring.sentences import take_first_sentence

MOST = 12  # phrases that are looked at, from the last one
_MOST_QUESTIONS = 30  # beginnings of another question that are looked at, from the first one
_MOST_TRIGGERS = 100  # words that may begin one
_LONGEST = 600  # characters of what follows a phrase
_SHORT_LINE = 12  # words of a line that is the answer to "the answer is:" above it
_NEXT_LINE = re.compile(r"\s*([^\n]+)")
_SHORT_ANSWER = re.compile(r'"short[ _]answer"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([^",}\n]+))', re.IGNORECASE)
# GLM puts its answer between special tokens.
_TAG = re.compile(r"<(?P<answer>/?)answer>|<\|(?P<box>begin|end)_of_box\|>", re.IGNORECASE)
_BOX = re.compile(r"\\f?boxed\s*\{|\\fbox\s*\{")

# "answer" as a verb states nothing; nor does it in "question and answer session".
_NOT_VERB = "".join(
    rf"(?<!\b{word} )"
    for word in ("to", "can", "not", "must", "will", "and", "we", "I", "you", "they", "could", "should",
                 "cannot", "would", "n't", "help", "please", "let me")
).replace(r"(?<!\bn't )", "(?<!n't )")  # fmt: skip
_NOUN = rf"\b(?:(?-i:(?<!and )Answer|ANSWER)|{_NOT_VERB}answer|answer(?=s?[*_\s]{{0,5}}[:=：]))"
_HAN = r"答案\s*(?:应该|应当|应|就)?\s*(?:是|为|選|选)?"
# "Answer eight", "the final answer is: B", "**Answer:** 42", "Answer = 7".
_PHRASE = re.compile(
    rf"(?:{_NOUN}\b[*_\s]{{0,40}}(?:(?:is|was|would\s+be)\b|[:=：])?|{_HAN})[*_\s:：]{{0,40}}", re.IGNORECASE
)
_NUMBER_WORD = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty"
    r"|sixty|seventy|eighty|ninety|hundred)\b"
)
_COPULA = (
    r"(?:(?:is|are|was|were|would\s+be|should\s+be|must\s+be|will\s+be|has\s+to\s+be|seems\s+to\s+be)\b"
    r"(?!\s+(?:the|a)\s+(?:option|one)\s+that\b)"
    r"|is(?=n['’]t)|[:=：]|->|→)"
)
_SUBJECT = (
    r"(?:\s+(?:to|for|of|in)\s+(?:the|this|that|your|question|problem)\b[^.:\n]{0,80}?"
    r"(?=\s+(?:is|are|would|must|should|was)\b|\s*:))?"
)
# Where a statement may begin, of which each is then looked at: one pattern for all would be slow.
_TRIGGERS = ("answer", "option", "choice", "letter", "statement", "match", "likely", "答案", "选", "選")
_ANY_TRIGGER = re.compile("answer|答案")
_OPENING = r"[*_\s:：<\"'`]{0,40}"
# The same where a letter or a number is looked for: "to answer this" is no answer, "<Answer>: <<B>>" is.
_ANSWER = re.compile(
    rf"{_NOUN}s?\b{_SUBJECT}[*_\s>\"'`#]{{0,40}}(?:(?:option|choice|letter)s?\s+)?"
    rf"(?:{_COPULA}|(?=[(\[]?(?:(?-i:[A-Z])\b|[-+$]?\d|\\|{_NUMBER_WORD}))|(?=\n|$)){_OPENING}",
    re.IGNORECASE,
)
# "the correct option for this year is C", "the option that fits is:", "most likely is"
_ADJECTIVE = re.compile(
    r"\b(?:correct|right|best|final|closest|proper|matching|appropriate|suitable|accurate|likely|plausible|valid|my)"
    r"\s+$", re.IGNORECASE
)  # fmt: skip
_OPTION = re.compile(
    r"(?:option|choice|letter|match|statement)s?\b(?:\s+letter)?(?:\s+(?!is\b|are\b)[^.:;,\n]{1,60}?)??\s*"
    rf"(?:\b(?:is|are|was|would\s+be|should\s+be|must\s+be|will\s+be)\b|:){_OPENING}",
    re.IGNORECASE,
)
_OPTION_THAT = re.compile(
    rf"(?:option|choice)s?\s+that\s+[^.:\n]{{1,60}}?\s(?:is|are|would\s+be)\b(?=\s*:){_OPENING}",
    re.IGNORECASE,
)
_MOST_LIKELY = re.compile(rf"likely\s+is\b{_OPENING}", re.IGNORECASE)
_HAN_STATED = re.compile(
    rf"(?:{_HAN}|(?:选择|选|選)(?=[\s:：(（*]{{0,4}}[A-Z](?![A-Za-z]))){_OPENING}"
)  # fmt: skip
# "D is my answer", "**B** is the correct answer", "option C is correct".
_ANSWERED_BEFORE = re.compile(
    r"(?<![\w'\\])([A-Z])[)\]*_.\"']{0,4}\s+(?:is|would\s+be|seems(?:\s+to\s+be)?|must\s+be)\s+"
    r"(?:(?i:therefore|thus|clearly|indeed|likely|probably)\s+)?"
    r"(?:(?:my|the|your|our)\s+(?:(?:most\s+)?\w+\s+)?(?:answer|option|choice)\b(?!\s+(?:that|which)\s+\w+\s+not)"
    r"|(?:the\s+)?(?:correct|right)\b(?!\s+(?:if|only\s+if)))"
)
_CONDITION = re.compile(r"^[\s*_]*(?:if|when|assuming|suppose|unless|provided)\b", re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"\n[\s*#]*(?:Question|Q|Problem)\b\s*\d*\s*[:.*]", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """What a text states as its answer, by which rule, and from where to where it stands."""

    text: str
    rule: str
    start: int
    end: int


def drop_next_question(text: str) -> str:
    """Cut off another question that a model made up after its answer, as base models do."""
    for following in itertools.islice(_NEXT_QUESTION.finditer(text), _MOST_QUESTIONS):
        before = text[: following.start()]
        if before.strip() and (find_box(before) or next(_find_marks(before), None)):
            return before
    return text


def find_json(text: str) -> Statement | None:
    """Find the last JSON field "short answer"."""
    last = _find_last(_SHORT_ANSWER, text)
    if last is None:
        return None
    content = re.sub(r'\\(["\\/])', r"\1", last[1]) if last[1] is not None else last[2]
    return Statement(content, "json", last.start(), last.end())


def find_box(text: str) -> Statement | None:
    """Find the last \\boxed{...}, braces balanced; None if there is none or it is cut off."""
    last = _find_last(_BOX, text)
    if last is None:
        return None
    depth = 1
    for position in range(last.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return Statement(text[last.end() : position], "boxed", last.start(), position + 1)
    return None


def find_tag(text: str) -> Statement | None:
    """Find the last <answer>...</answer>, or the like of it.

    Tag by tag: a pattern for both tags would look for the end anew from every beginning, in quadratic time.
    """
    begun: dict[str, re.Match[str]] = {}  # by kind, its first tag without an end
    found: Statement | None = None
    for tag in _TAG.finditer(text):
        kind = str(tag.lastgroup)
        if tag[kind].lower() in ("", "begin"):
            begun.setdefault(kind, tag)
        elif begin := begun.pop(kind, None):
            found = Statement(text[begin.end() : tag.start()], "answer tag", begin.start(), tag.end())
            # What began within it belongs to its text.
            begun = {name: other for name, other in begun.items() if other.start() < begin.start()}
    return found


def _find_last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for found in pattern.finditer(text):
        last = found
    return last


def find_phrases(text: str, *, in_words: bool) -> Iterator[Statement]:
    """Find the phrases that state an answer, the last first; an empty text where nothing follows one.

    Args:
        in_words: whether the answer is a word or a name, for which any "answer ..." will do.
    """
    for start, end, letter in _find_any_marks(text) if in_words else _find_marks(text):
        if _is_conditional(text, start):
            continue
        if letter:
            yield Statement(letter, "answer phrase", start, end)
            continue
        stop = text.find("\n", end)
        stop = len(text) if stop < 0 else stop
        phrase = text[end : min(stop, end + _LONGEST)]
        if not clean_text(phrase) and (not in_words or text[start:end].rstrip("*_ \n").endswith((":", "："))):
            following = _NEXT_LINE.match(text, stop)
            if following and len(following[1].split()) <= _SHORT_LINE:
                phrase, stop = following[1][:_LONGEST], following.end()
        if in_words:
            phrase = take_first_sentence(phrase, names=True)
        yield Statement(phrase, "answer phrase", start, stop)


def _find_any_marks(text: str) -> Iterator[tuple[int, int, str]]:
    """Find every "answer ...", the last first; as `_find_marks` gives them."""
    # Where it can begin is found first: the pattern at every place of the text would be slow.
    places = [found.start() for found in _ANY_TRIGGER.finditer(_lower(text))]
    marks = (mark for place in reversed(places) if (mark := _PHRASE.match(text, place)))
    yield from ((mark.start(), mark.end(), "") for mark in itertools.islice(marks, MOST))


def _find_marks(text: str) -> Iterator[tuple[int, int, str]]:
    """Find where answers are stated, the last first: start and end of the mark, and a letter before it."""
    marks, lower = 0, _lower(text)
    for start, word in _find_triggers(lower):
        if before := _ANSWERED_BEFORE.search(text, max(0, start - 60), start + 12):
            yield before.start(), before.end(), before[1]
        if word == "answer":
            mark = _ANSWER.match(text, start)
        elif word in ("答案", "选", "選"):
            mark = _HAN_STATED.match(text, start)
        elif word == "likely":
            mark = _MOST_LIKELY.match(text, start)
        else:
            said = _ADJECTIVE.search(text, max(0, start - 24), start)
            mark = _OPTION.match(text, start) if said else _OPTION_THAT.match(text, start)
        if mark is not None:
            yield start, mark.end(), ""
            marks += 1
            if marks == MOST:
                return


def _lower(text: str) -> str:
    """Write in small letters, every sign in its place: of all signs this one alone becomes two."""
    return text.replace("İ", "i").lower()


def _find_triggers(lower: str) -> list[tuple[int, str]]:
    """Find the last places where a statement may begin, the last first, and the word there."""
    places = []
    for word in _TRIGGERS:
        place = len(lower)
        for _ in range(_MOST_TRIGGERS):
            place = lower.rfind(word, 0, place)
            if place < 0:
                break
            places.append((place, word))
    return sorted(places, reverse=True)[:_MOST_TRIGGERS]


def _is_conditional(text: str, start: int) -> bool:
    """Tell whether the sentence of a phrase begins with "if"."""
    begin = max(text.rfind(mark, 0, start) for mark in (". ", "\n", "! ", "; ")) + 1
    return bool(_CONDITION.match(text[begin:start]))
