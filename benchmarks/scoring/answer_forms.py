"""Reduce a stated answer to its form: Yes or No, an option's letter, several letters, a number, a formula."""

import itertools
import re
from collections.abc import Callable

from benchmarks.scoring.option_letters import (
    is_word,
    names_several,
    read_leading_letter,
    read_letters,
    read_lone_letter,
)
from benchmarks.scoring.option_values import (
    Options,
    clean_text,
    find_option,
    is_formula_like,
    match_value,
    match_whole,
)
from benchmarks.scoring.stated_numbers import read_number, read_number_alone, strip_markup, strip_unit

_LONGEST = 2_000  # characters of a statement in which an option or a word is looked for
_WRAPPED = re.compile(r"^\s*\$?\\(?:text|mathrm|textbf|mathbf|rm|bf)\s*\{(.*)\}\$?\s*$", re.DOTALL)
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_CHINESE_NO = re.compile(r"^(?:不是|不对|没有|否|错|不)")
_CHINESE_YES = re.compile(r"^(?:是|对|有)")
_SAYS_OPTION = re.compile(
    r"^(?:(?:the|correct|right|best|options?|choices?|letters?|number|answer)\s+|选项|选)+", re.I
)
_LETTER_AND_VALUE = re.compile(r"([A-Z])[)\].:]*\s+(\S.*)$", re.DOTALL)
_NOT_THAT = re.compile(r",\s*(?:and\s+)?not\s+[^,.;]+")
_NEGATION = re.compile(r"\bnot\b|n't\b|n’t\b|\bneither\b", re.IGNORECASE)
# "not A but B", "isn't A, it's D": what counts follows.
_CORRECTED = re.compile(
    r"^(?:n't|n’t|not)\b[^.]{0,60}?(?:[,;.]\s*|\s+)(?:but|rather|instead|it\s+is|it['’]s|the answer is)\s+",
    re.I,
)
_COMPUTED = re.compile(r"[\d\s.,+\-*/×÷·()^]+=[^=]*$")  # "12 / 4 * 2.5 = 7.5"
_PERCENT = re.compile(r"[-+]?[\d.,]+\s*\\?%")


def reduce_answer(stated: str, kind: str, options: Options) -> str:
    """Reduce a stated answer to what its kind has; "" when it is none of that kind."""
    stated = _unwrap(stated)
    return _FORMS[kind](stated[:_LONGEST] if kind in ("yes_no", "option", "options") else stated, options)


def is_exact(stated: str, kind: str, options: Options) -> bool:
    """Tell whether a statement is an answer of its kind and nothing else, not a sentence with one in it."""
    text = _SAYS_OPTION.sub("", clean_text(_unwrap(stated)))
    match kind:
        case "yes_no":
            return bool(re.fullmatch(r"(?i)yes|no", text))
        case "number":
            return bool(read_number_alone(text)) or (len(text.split()) <= 3 and bool(read_number(text)))
        case "math":
            return bool(text) and not re.search(r"(?<!\\)\b[A-Za-z]{3,}", strip_unit(text))
        case "option":
            return bool(read_lone_letter(text, options) or match_whole(text, options)) or bool(
                re.match(r"[(\[]?[A-Z][)\].:]", text) and read_leading_letter(text, options)[0]
            )
        case "options":
            return bool(re.fullmatch(r"(?:[(\[]?[A-Z][)\]]?(?:\s*(?:,|and|&|;)\s*)?)+", text))
    return bool(text)


# --- one function per kind ----------------------------------------------------------------------


def _read_yes_no(stated: str, _: Options) -> str:
    text = clean_text(stated)
    if _CHINESE_NO.match(text):
        return "No"
    if _CHINESE_YES.match(text):
        return "Yes"
    words = {word.lower() for word in _YES_NO.findall(text)}
    return words.pop().capitalize() if len(words) == 1 else ""


def _read_option(stated: str, options: Options) -> str:
    """Read a letter at the front; else the option named, by text or by value; else the letter meant."""
    answer = clean_text(stated)
    text = _SAYS_OPTION.sub("", answer)
    if corrected := _CORRECTED.match(text):
        text = answer = text[corrected.end() :]
    if letter := read_lone_letter(text, options):
        return letter
    if letter := match_whole(answer, options) or match_whole(text, options):
        return letter
    if names_several(text, options):
        return ""
    with_value = _LETTER_AND_VALUE.match(text)
    if with_value and match_value(with_value[2], options) == with_value[1]:
        return with_value[1]
    letter, sure = read_leading_letter(text, options)
    if letter and (sure or match_value(text[text.index(letter) + 1 :], options) == letter):
        return letter
    clause = re.split(r"[,.;:]\s", text, maxsplit=1)[0]
    if len(clause) > 1 and (by_text := match_whole(clause, options)):
        return by_text
    if is_formula_like(answer):
        return match_value(answer, options)
    answer = _NOT_THAT.sub("", answer)
    if _NEGATION.search(answer) and not any(_NEGATION.search(option) for option in options.values()):
        return ""
    if by_text := find_option(answer, options):
        return by_text
    if letter and not is_word(letter, text[text.index(letter) + 1 :]):
        return letter
    if by_value := match_value(answer, options):
        return by_value
    letters = read_letters(answer, options)
    return letters.pop() if len(letters) == 1 else ""


def _read_options(stated: str, options: Options) -> str:
    """Read letters at the front: "AC", "A, C", "(A) and (C)"; else those in brackets, or the one named."""
    answer = _SAYS_OPTION.sub("", clean_text(stated))
    words = [w for w in re.findall(r"[^\s,;/&()\[\].:、和与]+", answer) if w not in ("and", "or")]
    letters = set(itertools.takewhile(lambda word: re.fullmatch("[A-Z]", word), words))
    if words and re.fullmatch(r"[A-Z]{2,}", words[0]) and len(set(words[0])) == len(words[0]):
        letters = set(words[0])
    elif letters == {"A"} and is_word("A", answer.partition("A")[2]):
        letters = set()
    letters = letters or read_letters(answer, options, sets=True) or set(find_option(stated, options))
    return ", ".join(sorted(letters)) if not options or letters <= set(options) else ""


def _read_formula(stated: str, _: Options) -> str:
    """Strip delimiters and "x =" off LaTeX; a number with a unit becomes the number alone."""
    text = clean_text(strip_markup(stated))
    text = re.sub(r"(?<![\\A-Za-z])pi\b", r"\\pi", text)
    text = re.sub(r"√\s*\(?(\d+(?:\.\d+)?)\)?", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\A-Za-z])sqrt\((\w+)\)", r"\\sqrt{\1}", text)
    if _PERCENT.fullmatch(text):
        return text
    chain = text.count("=") > 1 or _COMPUTED.match(text)
    if chain and (last := read_number_alone(text.rpartition("=")[2])):
        return last
    if re.fullmatch(r"\.\d+", text):
        return text
    return read_number_alone(text) or text


_FORMS: dict[str, Callable[[str, Options], str]] = {
    "text": lambda stated, _: clean_text(stated),
    "passage": lambda stated, _: stated.strip(),
    "yes_no": _read_yes_no,
    "option": _read_option,
    "options": _read_options,
    "number": lambda stated, _: read_number(stated),
    "math": _read_formula,
}


def _unwrap(text: str) -> str:
    """Take what is in \\text{...}, when that is all there is."""
    match = _WRAPPED.match(text)
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(c, 0) for c in match[1])) if match else []
    return match[1] if match and min(depths, default=0) >= 0 and depths[-1:] in ([], [0]) else text
