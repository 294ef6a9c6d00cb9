"""Reduce a stated answer to its form: Yes or No, an option's letter, several letters, a number, a formula."""

import itertools
import re
from collections.abc import Callable, Mapping

from benchmarks.scoring.stated_numbers import MARKUP, bare, number, number_alone

Options = Mapping[str, str]

_WRAPPED = re.compile(r"^\s*\$?\\(?:text|mathrm|textbf|mathbf)\{(.*)\}\$?\s*$", re.DOTALL)
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)

_LEADING = re.compile(r"^[(\[<]*([A-Z])(?=$|[\s)\].:,;>])(.?)\s*(\S*)")
_IN_BRACKETS = re.compile(r"[(\[]([A-Z])[)\]]")
_ALONE = re.compile(r"(?<![\w'\\])([A-Z])(?![\w'])")
_SAYS_OPTION = re.compile(r"^(?:(?:the|correct|options?|choices?|letters?|number)\s+)+", re.IGNORECASE)
# What follows "the answer is A", when A is the letter and not the article.
_NOT_A_NOUN = ("and", "as", "because", "but", "for", "is", "since", "so", "which", "with", "based", "given")


def reduce(stated: str, kind: str, options: Options) -> str:
    """Reduce a stated answer to what its kind has; "" when it is none of that kind."""
    return _FORMS[kind](_unwrapped(stated), options)


def clean(text: str) -> str:
    """Strip LaTeX text commands, markdown emphasis, quotes, and punctuation at the ends."""
    text = MARKUP.sub(r"\1", text).replace("$", "")
    return " ".join(text.split()).strip("*_`\"' .,:;!?")


def named(text: str, options: Options) -> str:
    """Find the letter of the one option whose text occurs in `text`; "" when none does, or several do."""
    spans: list[tuple[int, int, str]] = []
    for letter, option in options.items():
        if option_text := clean(option):
            pattern = rf"(?<![\w.]){re.escape(option_text)}(?!\w|\.\d)"
            spans += [(*m.span(), letter) for m in re.finditer(pattern, clean(text), re.IGNORECASE)]
    # "red" is not named by "the red car" when "red car" is another option.
    outer = {
        letter
        for start, end, letter in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    }
    return outer.pop() if len(outer) == 1 else ""


def letters_alone(text: str, options: Options) -> set[str]:
    """Find the option letters that stand by themselves, an article "A" before a word not counted."""
    letters = {m[1] for m in _ALONE.finditer(text) if not _is_word(m[1], text[m.end() :])}
    return {letter for letter in letters if not options or letter in options}


# --- one function per kind ----------------------------------------------------------------------


def _yes_no(stated: str, _: Options) -> str:
    words = {word.lower() for word in _YES_NO.findall(clean(stated))}
    return words.pop().capitalize() if len(words) == 1 else ""


def _option(stated: str, options: Options) -> str:
    """Read a letter at the front; else the option that is named; else the one letter that stands alone."""
    answer = clean(stated)
    stripped = _SAYS_OPTION.sub("", answer)
    leading = _LEADING.match(stripped)
    letter = leading[1] if leading and (not options or leading[1] in options) else ""
    if letter and leading and (not leading[2].isspace() or _follows(leading[3])):
        return letter
    if by_text := named(answer, options):
        return by_text
    if letter and leading and not _is_word(letter, stripped[leading.end(1) :]):
        return letter
    if re.search(r"\bnot\b|n't\b", answer):
        return ""
    in_brackets = {m for m in _IN_BRACKETS.findall(answer) if not options or m in options}
    for letters in (in_brackets, letters_alone(answer, options)):
        if len(letters) == 1:
            return letters.pop()
    return ""


def _options(stated: str, options: Options) -> str:
    """Read letters at the front: "AC", "A, C", "(A) and (C)"; else those in brackets, or the one named."""
    answer = _SAYS_OPTION.sub("", clean(stated))
    words = [w for w in re.findall(r"[^\s,;/&()\[\].:]+", answer) if w not in ("and", "or")]
    letters = set(itertools.takewhile(lambda word: re.fullmatch("[A-Z]", word), words))
    if words and re.fullmatch(r"[A-Z]{2,}", words[0]) and len(set(words[0])) == len(words[0]):
        letters = set(words[0])
    elif letters == {"A"} and _is_word("A", answer.partition("A")[2]):
        letters = set()
    letters = letters or set(_IN_BRACKETS.findall(answer)) or set(named(stated, options))
    return ", ".join(sorted(letters)) if not options or letters <= set(options) else ""


def _formula(stated: str, _: Options) -> str:
    """Strip delimiters and "x =" off LaTeX; a number with a unit becomes the number alone."""
    text = clean(bare(stated))
    return number_alone(text) or text


_FORMS: dict[str, Callable[[str, Options], str]] = {
    "text": lambda stated, _: clean(stated),
    "passage": lambda stated, _: stated.strip(),
    "yes_no": _yes_no,
    "option": _option,
    "options": _options,
    "number": lambda stated, _: number(stated),
    "math": _formula,
}


def _is_word(letter: str, following: str) -> bool:
    """Tell whether "A" or "I" before `following` is the article or the pronoun."""
    word = following.split()[0] if following[:1].isspace() and following.split() else ""
    return letter in "AI" and word[:1].islower() and not _follows(word)


def _unwrapped(text: str) -> str:
    """Take what is in \\text{...}, when that is all there is."""
    match = _WRAPPED.match(text)
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(c, 0) for c in match[1])) if match else []
    return match[1] if match and min(depths, default=0) >= 0 and depths[-1:] in ([], [0]) else text


def _follows(word: str) -> bool:
    """Tell whether what follows a letter makes it the answer: "A because", not "A car"."""
    return word.strip(".,;:!") in _NOT_A_NOUN
