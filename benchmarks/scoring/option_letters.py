"""Read option letters from text: which are options, and which articles, points, variables or units."""

import re
from collections.abc import Mapping

Options = Mapping[str, str]

# A letter by itself, with what may be around it.
_LONE = re.compile(r"[(\[<{*_`'\"\s•-]*([A-Za-z])[)\]>}*_`'\".:,;\s]*")
_LEADING = re.compile(r"^[(\[<*_]*([A-Z])(?=$|[\s)\].:,;>*_]|\\\(|\$|-\s|—|–)([)\]*_]*.?)\s*(\S*)")
_LIST_JOINT = r"[)\]>*_]*\s*(?:,\s*(?:and|or)?|;|/|&|\band\b|\bor\b|与|和)\s*[(\[<*_]*"
_SEVERAL = re.compile(
    rf"^[(\[<*_]*[A-Z]{_LIST_JOINT}[A-Z](?![\w'])(?!\s*(?:is|was|are)\s+(?:not|wrong|incorrect))"
)
_ANY_SEVERAL = re.compile(rf"(?<![\w'])[A-Z]{_LIST_JOINT}[A-Z](?![\w'])(?:{_LIST_JOINT}[A-Z](?![\w']))*")
_DISMISSED = re.compile(
    r"^[)\]*_.:,]*\s*(?:[^.;:\n]{0,40}?\s)?(?:is|are|was|were|does|do|can|could|would|seems?)\s*"
    r"(?:n't\b|n’t\b|not\b|never\b|also not\b)"
    r"|^[)\]*_]*\s*(?:[^.;:\n]{0,40}?\s)?(?:is|are|was|were)\s+(?:clearly\s+|also\s+)?"
    r"(?:incorrect|wrong|false|inapplicable|invalid|excluded|eliminated|ruled out|out\b|tempting|too\b)",
    re.IGNORECASE,
)
_DENYING = re.compile(
    r"(?:不是|不选|排除|(?:\bnot|n't|n’t|\bneither|\bnor|\bnever|\bexcept|\bthan|\bexclude|\beliminate|\breject)\s+)"
    r"(?:the\s+)?(?:option\s+|choice\s+|answer\s+|set\s+)?[(\[*_]*$",
    re.IGNORECASE,
)
# What a letter follows when it is meant as an option.
_CUE = (
    r"(?:\b(?:options?|choices?|letters?|answers?|is|are|be|was"
    r"|pick|choose|chose|select|selected|selecting|choosing|with|so|thus|hence|therefore|as|say|guess|marked|labell?ed|to|leaves|leaving|only|just)\b|[:：]|->|→|⇒|=>|选|为|是|选项)"
)
_CUED = re.compile(
    rf"{_CUE}[\s*_\"'`(\[,:：]{{0,4}}([A-Z])(?![\w'’])(?!\s*[-+*/^=<>≈∥⊥°×|])(?!\s*\\(?!\(|\))[a-z])", re.I
)
_IN_BRACKETS = re.compile(r"(?<![\w)}])[(\[]\s*([A-Z])\s*[)\]](?!\s*[=^])")
_BOLD = re.compile(r"\*\*\s*[(\[]?([A-Z])[)\].:]?\s*\*\*")
_AT_END = re.compile(
    r"(?:^|[.;,]\s+|\b(?:so|thus|hence|therefore|namely)\s+)[(\[*_]*([A-Z])[)\]*_.!\s]*$", re.IGNORECASE
)
# "B is the only one that fits", "B fits"
_MEANT = re.compile(
    r"(?<![\w'])([A-Z])[)\]*_]*\s+(?:is\s+the\s+(?:only|right|correct|best)\b|fits\b|matches\b|remains\b)"
)
_SET = re.compile(
    r"\b(?:sets?|boxe?s?|figures?|pictures?|images?|shapes?|parts?|statements?)\s+[(\[*_]*([A-Z])(?![\w'])",
    re.I,
)
_ALONE = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")
# What follows "the answer is A", when A is the letter and not the article.
_NOT_A_NOUN = ("and", "as", "because", "but", "for", "is", "since", "so", "which", "with", "based",
               "given", "in", "or", "from", "by", "the", "this", "that", "we", "it", "there", "where",
               "when", "if")  # fmt: skip


def read_lone_letter(text: str, options: Options) -> str:
    """Read a text that is one letter and nothing else; a small one too, unless it is an option's text."""
    match = _LONE.fullmatch(text)
    if match is None:
        return ""
    if match[1].islower() and match[1] in (option.strip() for option in options.values()):
        return ""
    letter = match[1].upper()
    return letter if not options or letter in options else ""


def read_leading_letter(text: str, options: Options) -> tuple[str, bool]:
    """Read the letter at the front; whether a delimiter ("B.", "(B)", "B because") makes it one for sure."""
    leading = _LEADING.match(text)
    if leading is None or (options and leading[1] not in options):
        return "", False
    rest = text[leading.end(1) :]
    if re.match(r"\s*(?:=|\\(?:approx|times|cdot|frac|sqrt|pi|le|ge)|[+*^<>])(?!\*)", rest) or (
        _DISMISSED.match(rest) and not re.match(r"[)\]*_]*\.\s+[A-Z]", rest)
    ):
        return "", False
    return leading[1], bool(leading[2].strip()) or not rest.strip() or continues(leading[3])


def find_lone_letters(text: str) -> list[str]:
    """Find the capital letters that are part of no word, whatever they mean, in the text's order."""
    return _ALONE.findall(text)


def names_several(text: str, options: Options) -> bool:
    """Tell whether a statement begins with several different letters: "B, D", "A or B", "(A) and (C)"."""
    match = _SEVERAL.match(text)
    if match is None:
        return False
    letters = set(find_lone_letters(match[0]))
    return len(letters) > 1 and (not options or letters <= set(options))


def read_letters(text: str, options: Options, *, sets: bool = False) -> set[str]:
    """Find the letters that a sentence means as options: in brackets, in bold, after a word such as "option".

    Denied and dismissed ones ("not A", "A is wrong") do not count, nor do articles and names of points.

    Args:
        sets: whether "Set A", "Figure A" mean an option too.
    """
    letters: set[str] = set()
    denied = {
        m[1] for m in _ALONE.finditer(text) if _DENYING.search(text[max(0, m.start() - 24) : m.start(1)])
    }
    patterns = [_MEANT, _IN_BRACKETS, _BOLD, _CUED, _AT_END, *([_SET] if sets else [])]
    for pattern in patterns:
        for match in pattern.finditer(text):
            letter, after = match[1], text[match.end(1) :]
            if not letter.isupper() or (options and letter not in options):
                continue
            before = text[max(0, match.start() - 24) : match.start(1)]
            if _DENYING.search(before) or _DISMISSED.match(after) or is_word(letter, after):
                continue
            letters.add(letter)
    if several := _ANY_SEVERAL.search(text):
        joined = set(find_lone_letters(several[0]))
        if letters & joined and (not options or joined <= set(options)):
            letters |= joined
    return letters - denied


def is_word(letter: str, following: str) -> bool:
    """Tell whether "A" or "I" before `following` is the article or the pronoun."""
    word = following.split(maxsplit=1)[0] if following[:1].isspace() and following.split(maxsplit=1) else ""
    return letter in "AI" and word[:1].islower() and not continues(word)


def continues(word: str) -> bool:
    """Tell whether what follows a letter makes it the answer: "A because", not "A car"."""
    return word.strip(".,;:!") in _NOT_A_NOUN
