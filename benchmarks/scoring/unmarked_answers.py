"""Find the answer of a text that does not mark it: a leading word, a short text, the last sentence."""

import re
from collections.abc import Iterator

from benchmarks.scoring.number_words import NUMBER_WORD, find_number_words
from benchmarks.scoring.option_letters import find_lone_letters, names_several, read_letters
from benchmarks.scoring.option_values import (
    Options,
    clean_text,
    find_option,
    is_formula_like,
    match_value,
    match_whole,
)
from benchmarks.scoring.repetition import is_repetitive
from benchmarks.scoring.sentences import split_sentences
from benchmarks.scoring.stated_numbers import read_number, strip_unit

Candidate = tuple[str | None, str]
_SENTENCE = 1000  # characters at the end of a sentence that are read
_FORMULA = 300  # characters of a formula that is an answer by itself
_LONGEST = 10_000  # characters at the end of a text that are searched for lists and labels

_LEADING_LETTER = re.compile(r"^[*_\s]*[(\[]?([A-Z])(?:[)\].:,*]|\s*$|\s*\n)")
_LETTER_LINE = re.compile(
    r"^[*_\s\-\\\[(]*(?:[Oo]ption\s+)?[(\[]?([A-Z])(?:[)\].:*_]*\s*$|[)\].:]+[*_]*\s+\S)"
)
_LEADING_YES_NO = re.compile(
    r"^[\"'“*_]*(yes|no)\b[\"'”*_]*"
    r"(?=\s*(?:[,.;:!\n—–-]|$)|\s+(?:there|it|he|she|they|the|this|that|we|is|i)\b)",
    re.IGNORECASE,
)
_CONCLUDING_YES_NO = re.compile(
    r"(?:^(?:(?:so|thus|hence|therefore|but)\b,?\s*)?(yes|no)\b(?=\s*[,.;:!]))|\b(yes|no)\W*$", re.IGNORECASE
)
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_THERE_IS_NOT = re.compile(r"\bthere\s+(?:isn['’]t|aren['’]t|(?:is|are)\s+not)\b", re.IGNORECASE)
_EITHER = re.compile(r"\byes\b\W{1,3}(?:(?:or|and)\W{1,3})?no\b", re.IGNORECASE)
_IDIOMS = re.compile(
    r"\bno\s+(?:doubt|idea|matter|longer|question|wonder|one|more\s+than|less\s+than|fewer\s+than|problem)\b",
    re.IGNORECASE,
)
# A closing remark says nothing of the answer.
_CLOSING = re.compile(
    r"\s*(?:I\s+hope|Hope\s+this|Let\s+me\s+know|Please\s+let\s+me\s+know|Feel\s+free"
    r"|Do\s+you\s+(?:have|want|need)|Is\s+there\s+anything|If\s+you\s+have\s+any|Ask\s+me\s+if|Would\s+you\s+like|Thank\s+you)\b[^\n]{0,300}$",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|unfortunately)\b|\bas an ai\b|\bunable to\b"
    r"|\b(?:can\s?not|can['’]t|could\s+not|couldn['’]t)\s+(?:\w+\s+){0,2}"
    r"(?:see|read|view|determine|determined|answer|provide"
    r"|be\s+(?:\w+\s+)?(?:determined|found|said|answered|seen|read|known|made|given)"
    r"|identify|confirm|find|tell|say|solve|access|process|give|help|make\s+out|draw|deduce|infer|assist)\b"
    r"|\b(?:not|n['’]t)\s+(?:\w+\s+)?"
    r"(?:possible|enough|provided|provide|given|clear|visible|specified|sufficient|contain|mentioned)\b"
    r"|\b(?:insufficient|missing|lacks?|too little|without)\b[^.]{0,40}"
    r"\b(?:information|data|picture|image|context|figure|diagram)"
    r"|\bwithout\s+(?:a|an|the|any|more|seeing|further|additional)\b"
    r"|\b(?:need|require|provide|say|give)\s+(?:\w+\s+)?(?:more|additional|further)\b"
    r"|\bplease\s+(?:provide|say|give|upload|share|clarify)"
    r"|\bno\s+(?:picture|image|information|table|figure|options?|context)\b[^.]{0,30}"
    r"\b(?:provided|given|attached|available|here)",
    re.IGNORECASE,
)
_DENIAL = re.compile(r"\b(?:does|do|is|are|was)(?:\s+not|n['’]t)\b", re.IGNORECASE)
_ITEM = re.compile(
    r"(?:^|(?<=[\s(\[,;*]))(?:\d\.\s*)?[*_]*(?:[Oo]ption\s+)?[(\[]?([A-Z])(?:[)\].:]+|(?=\s*$))[*_]*",
    re.MULTILINE,
)
_THERE_ARE = re.compile(
    r"\bthere\s+(?:are|is|were|was|will\s+be|would\s+be|remain|remains)\s+"
    r"(?:still\s+|now\s+|only\s+|about\s+|a\s+total\s+of\s+|exactly\s+|approximately\s+|in\s+total\s+)?[*_$]{0,3}([-\w][-\w.,]*)(?![/\w])",
    re.IGNORECASE,
)
# "three cats and two dogs, so five animals"
_SO = re.compile(
    r".*\b(?:so|thus|hence|therefore|i\.e\.|that\s+is)(?=[\s,]),?\s+(?:(?:it|this|that|there)\s+(?:is|are|makes)\s+)?[*_$]{0,3}"
    rf"([-+]?\d[\d,]*(?:\.\d+)?(?!\w|\.\d|\s*[-+*/^=<>])|{NUMBER_WORD}(?:[- ](?:and\s)?{NUMBER_WORD})*)"
    r"(?!\s+(?:of|times|more|less)\b)",
    re.IGNORECASE | re.DOTALL,
)
_AFTER_SO = re.compile(r".*\b(?:so|thus|hence|therefore)\b,?\s+(.*)$", re.IGNORECASE | re.DOTALL)
# A number that something is compared with: "lower than 40".
_COMPARED = re.compile(
    r"\b(?:than|at\s+least|at\s+most|over|under|above|below|between|exceed(?:s|ing)?|up\s+to)\s+"
    r"[$£€]?[-+]?\d[\d,]*(?:\.\d+)?\w?(?:\s+(?:and|to)\s+[$£€]?\d[\d,]*(?:\.\d+)?\w?)?"
    r"|\b(?:than|least|most)\s+\d+\s*%",
    re.IGNORECASE,
)
_OF_THEM = re.compile(r"\b(\d[\d,]*)\s+of\s+(?:them|these|those|which)\b", re.IGNORECASE)
_HAN_COUNT = re.compile(r"(?:共有|共|有|是|为|等于)\s*([零一二两三四五六七八九十百千万]+|\d+)")
_WORD_SAID = re.compile(
    r"\b(?:is|are|was|were|be|equals|remains?|total(?:\s+of)?|left|makes|gives|has|have|counts?)\s+"
    r"(?:only\s+|exactly\s+|still\s+)?"
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty\b"
    r"|a\s+(?:hundred|dozen|thousand))",
    re.IGNORECASE,
)
_EMPHASISED = re.compile(r"\*\*\s*\$?([-+]?\d[\d,]*(?:\.\d+)?)\s*%?[^*\d\n]{0,20}\*\*")
_LAST_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)")
_CONCLUDED = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|gives?|makes?|made|gets?|got|counted|count|counts|totals?|left\s+with)\s+"
    r"(?:about\s+|approximately\s+|exactly\s+|only\s+|a\s+total\s+of\s+|equal\s+to\s+|therefore\s+|then\s+)?"
    r"|[=≈]\s*)[*_$£€]{0,3}([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
    r"(?![\w(]|\.\d|\s*[-+*/^=<>]|\s*(?:times|more|less|fewer|out\s+of|of)\b)"
)
_IN_MATH = re.compile(r"\$\$?([^$\n]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
# What may follow a formula that ends a text: its unit.
_UNIT_WORDS = re.compile(
    r"\s*(?:(?:square|cubic)\s+)?(?:units?|[a-z]{1,2}|degrees|percent|inches|feet|dollars|(?:kilo|centi|milli)?met(?:er|re)s?"
    r"|\w*grams?|lit(?:er|re)s?|hours?|minutes?|seconds?)?(?:\s*\^?\{?[23²³]\}?)?\s*"
)
_BOLD_END = re.compile(r"\*\*([^*\n]+)\*\*[\s.!]*$")
_AFTER_IS = re.compile(
    r"(?:.*(?:\bis\b|\bare\b|\bequals\b|\bbecomes\b|\bbe\b|=|≈|:)|.*\bget\b)\s*(.+?)[\s.!*]*$", re.DOTALL
)


def read_unmarked(text: str, kind: str, options: Options, longest: int) -> Iterator[Candidate]:
    """List candidates where nothing in the text says "answer", the best first; then None with the reason."""
    text = _drop_closing(text)
    sentences = _split(text)
    match kind:
        case "yes_no":
            yield from _read_yes_no(text, sentences, longest)
        case "option":
            yield from _read_option(text, sentences, options, longest)
        case "options":
            yield from _read_options(text, sentences, options, longest)
        case "number":
            yield from _read_number(text, sentences, longest)
        case "math":
            yield from _read_formula(text, sentences, longest)
        case "passage":
            yield text, "whole text"
        case _ if _is_short(text, longest):
            yield text, "whole text"
    yield None, "no answer"


def _split(text: str) -> list[str]:
    """Split the end of a text into sentences, of which the ends are kept."""
    return [sentence[-_SENTENCE:] for sentence in split_sentences(text[-4000:]) or [text]]


def _drop_closing(text: str) -> str:
    for _ in range(3):
        last_lines = text.rstrip()
        cut = _CLOSING.search(last_lines, max(0, len(last_lines) - 400))
        if cut is None or not last_lines[: cut.start()].strip():
            break
        text = last_lines[: cut.start()]
    return text.strip()


def _is_short(text: str, longest: int) -> bool:
    """Tell whether a text is short enough to be an answer; two signs of Han count as a word."""
    han = sum("一" <= sign <= "鿿" for sign in text[:200])
    return len(text.split()) + han // 2 <= longest


def _read_yes_no(text: str, sentences: list[str], longest: int) -> Iterator[Candidate]:
    if _is_short(text, longest):
        yield text, "whole text"
    if leading := _LEADING_YES_NO.match(text):
        yield leading[1], "leading word"
    if (concluding := _CONCLUDING_YES_NO.search(sentences[-1])) and not _EITHER.search(sentences[-1]):
        yield concluding[1] or concluding[2], "last sentence"
    if _THERE_IS_NOT.search(sentences[-1]):
        yield "no", "last sentence"
    if _REFUSAL.search(sentences[-1]):
        yield None, "refusal"
    # As VLMEvalKit reads it: the only one of the two words; in the last sentence first.
    for part, rule in ((sentences[-1], "last sentence"), (text, "only word")):
        words = {word.lower() for word in _YES_NO.findall(_IDIOMS.sub(" ", part))}
        if len(words) == 1:
            yield words.pop(), rule


def _read_option(text: str, sentences: list[str], options: Options, longest: int) -> Iterator[Candidate]:
    if is_repetitive(text):
        yield None, "loop"
    first = text.partition("\n")[0]
    if re.fullmatch(r"[*_(\[]*[A-Z][)\]*_.:]*\s*", first) and first != text:
        yield first, "leading letter"
    rest, listed = _drop_list(text, options)
    if not rest.strip():
        yield None, "options repeated"
    if listed:
        text, sentences = rest.strip(), _split(rest)
    else:
        if _LEADING_LETTER.match(text):
            yield first, "leading letter"
        for sentence in (text, sentences[-1]):
            clause = re.split(r"[,.;:!\n]", re.sub(r"^\([A-Z]\)\s*(?=\w+[,.;:])", "", sentence), maxsplit=1)[
                0
            ]
            if re.search(r"\w", sentence[len(clause) :]) and (letter := match_whole(clause, options)):
                yield letter, "leading text"
    if _is_short(text, longest):
        yield text, "whole text"
    if names_several(first, options):
        yield None, "several options"
    lines = [line for line in text.splitlines() if line.strip()]
    alone = [m[1] for line in lines if (m := _LETTER_LINE.match(line)) and (not options or m[1] in options)]
    if len(set(alone)) == 1 and len(lines) > 1:
        yield alone[0], "letter on a line"
    refused = bool(_REFUSAL.search(sentences[-1]) or _REFUSAL.search(sentences[0]))
    with_text = _find_letters_with_text(text, options)
    if len(with_text) == 1:
        yield with_text.pop(), "letter with its text"
    # Where options are letters drawn in the picture, "figure D" is one.
    drawn = bool(options) and all(len(option) == 1 for option in options.values())
    letters = read_letters(sentences[-1], options, sets=drawn)
    if (
        not letters
        and len(sentences) > 1
        and _DENIAL.search(sentences[-1])
        and find_lone_letters(sentences[-1])
    ):
        sentences = sentences[:-1]  # it dismisses an option, after the answer
        letters = read_letters(sentences[-1], options, sets=drawn)
    if len(letters) == 1 and not refused:
        yield letters.pop(), "last sentence"
    if len(letters) > 1:
        yield None, "several options"
    if refused:
        if letter := find_option(sentences[-1], {k: v for k, v in options.items() if _REFUSAL.search(v)}):
            yield letter, "last sentence"
        yield None, "refusal"
    if letter := find_option(sentences[-1], options):
        yield letter, "last sentence"
    if letter := _match_conclusion(sentences[-1], options):
        yield letter, "last sentence"
    if len(words := find_number_words(sentences[-1])) == 1 and (letter := match_value(words[0], options)):
        yield letter, "last sentence"


def _read_options(text: str, sentences: list[str], options: Options, longest: int) -> Iterator[Candidate]:
    if is_repetitive(text):
        yield None, "loop"
    rest, listed = _drop_list(text, options)
    if not rest.strip():
        yield None, "options repeated"
    if listed:
        text, sentences = rest.strip(), _split(rest)
    elif _LEADING_LETTER.match(text):
        yield text.partition("\n")[0], "leading letter"
    if _is_short(text, longest) and not _DENIAL.search(text):
        yield text, "whole text"
    if names_several(sentences[-1], options):
        yield sentences[-1], "last sentence"
    for sentence in reversed([s for s in sentences if not _DENIAL.search(s)][-2:]):
        if letters := read_letters(sentence, options, sets=True):
            yield ", ".join(sorted(letters)), "last sentence"


def _read_number(text: str, sentences: list[str], longest: int) -> Iterator[Candidate]:
    last = sentences[-1]
    if _REFUSAL.search(last) and not _LAST_NUMBER.search(last):
        yield None, "refusal"
    if _is_short(text, longest) and not _CONCLUDED.search(text) and (
        len(_LAST_NUMBER.findall(text)) <= 1 or re.match(r"[-+$£€\d.\\]", text)
    ):  # fmt: skip
        yield text, "whole text"
    if formula := _find_last_formula(text):
        yield formula, "last number"
    if concluded_so := _SO.match(last):
        yield concluded_so[1], "last number"
    if (clause := _AFTER_SO.match(last)) and _LAST_NUMBER.search(clause[1]):
        last = clause[1]
    last = last.replace("–", "-").replace("−", "-")
    numbers = _LAST_NUMBER.findall(_COMPARED.sub(" ", last))
    if said := [word for word in _THERE_ARE.findall(last) if read_number(word)]:
        # "there are 10 people, and 3 of them prefer it": the part counts.
        part = _OF_THEM.findall(last)
        yield (part or said)[-1], "there are"
    emphasised = _EMPHASISED.findall(text[-4000:])
    if len(set(emphasised)) == 1 or (emphasised and _EMPHASISED.search(last)):
        yield emphasised[-1], "emphasised number"
    if concluded := _CONCLUDED.findall(_COMPARED.sub(" ", last)):
        yield concluded[-1], "last number"
    if numbers := numbers or _LAST_NUMBER.findall(last) or _LAST_NUMBER.findall(text[-_LONGEST:]):
        yield numbers[-1], "last number"
    if han := _HAN_COUNT.findall(last):
        yield han[-1], "number word"
    if len(words := find_number_words(last)) == 1 and _WORD_SAID.search(last) and not _REFUSAL.search(last):
        yield words[0], "number word"


def _read_formula(text: str, sentences: list[str], longest: int) -> Iterator[Candidate]:
    if is_repetitive(text):
        yield None, "loop"
    if bold := _BOLD_END.search(text[-400:]):
        yield _after_colon(bold[1]), "emphasised answer"
    formula = len(text) <= _FORMULA and "\n" not in text and is_formula_like(text)
    if formula:
        yield text, "whole text"
    last = sentences[-1]
    if formula_at_end := _find_last_formula(text):
        yield formula_at_end, "last sentence"
    said = _AFTER_IS.match(last)
    if said and len(said[1]) <= 160 and (
        len(strip_unit(said[1]).split()) <= 2 or is_formula_like(said[1]) or re.match(r"[-+\\(\[$]", said[1])
    ):  # fmt: skip
        yield said[1], "last sentence"
    if _is_short(text, longest):
        yield text, "whole text"


def _find_last_formula(text: str) -> str:
    """Find the formula between dollars or the like that ends a text; "" where none does."""
    tail = text[-1200:].rstrip(" .!*\n")
    found = list(_IN_MATH.finditer(tail))
    if not found or not _UNIT_WORDS.fullmatch(tail[found[-1].end() :]):
        return ""
    if len(found) > 1 and re.fullmatch(r"\s*(?:,?\s*and|,|or)\s*", tail[found[-2].end() : found[-1].start()]):
        return ""  # several, of which none is the answer
    return _read_inside(found[-1])


def _read_inside(formula: re.Match[str]) -> str:
    """Return what stands between the delimiters of `_IN_MATH`, whichever they are."""
    return next(part for part in formula.groups() if part is not None)


def _after_colon(text: str) -> str:
    """What a bold line says after "Answer:" or the like."""
    return re.sub(r"^[A-Za-z ]{1,40}:\s*", "", text)


def _drop_list(text: str, options: Options) -> tuple[str, bool]:
    """Cut out an enumeration of the options; whether there was one.

    It is three letters in a row, or all options, each as an item: "(A) 30° (B) 45° (C) 60°", lines "A. ...".
    """
    if len(text) > _LONGEST:
        return text, False
    items = [m for m in _ITEM.finditer(text) if not options or m[1] in options]
    runs: list[list[re.Match[str]]] = []
    for item in items:
        if runs and ord(item[1]) == ord(runs[-1][-1][1]) + 1:
            runs[-1].append(item)
        else:
            runs.append([item])
    spans = []
    for run in runs:
        if run[0][1] != "A" and len(run) < 4:
            continue
        lines = all(text[: m.start()].rpartition("\n")[2].strip(" *_-(") == "" for m in run)
        if len(run) >= 3 or (len(run) == 2 and (lines or len(options) == 2)):
            stop = text.find("\n", run[-1].end())
            spans.append((run[0].start(), stop if stop >= 0 else len(text)))
    for start, end in reversed(spans):
        text = text[:start] + "\n" + text[end:]
    return text, bool(spans)


def _find_letters_with_text(text: str, options: Options) -> set[str]:
    """Find the letters that are written with their own option's text, "(D) willow"."""
    found = set()
    text = text[-_LONGEST:]
    lower = text.lower()
    for letter, option in options.items():
        words = clean_text(option)
        if (
            len(words) > 1
            and words.lower() in lower
            and re.search(
                rf"(?<![\w'])[(\[*_]*{letter}[)\].:*_]+\s*[*_\"'$]*{re.escape(words)}(?!\w)",
                text,
                re.IGNORECASE,
            )
        ):
            found.add(letter)
    return found


def _match_conclusion(sentence: str, options: Options) -> str:
    """Match a sentence's end, after "is" or "=", or its last formula with the options by value."""
    formulas = [_read_inside(match) for match in _IN_MATH.finditer(sentence)]
    said = _AFTER_IS.match(sentence)
    for candidate in (said[1] if said else "", formulas[-1] if formulas else ""):
        if candidate and len(candidate) <= 80 and (letter := match_value(clean_text(candidate), options)):
            return letter
    return ""
