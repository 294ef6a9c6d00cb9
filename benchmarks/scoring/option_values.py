"""Match an answer with the options by its text or its value, however it is written."""

import re
from collections.abc import Mapping
from functools import lru_cache

from benchmarks.scoring.formula_value import is_same_value
from benchmarks.scoring.stated_numbers import MARKUP, read_number_alone, strip_markup, strip_unit

# Units that are written out, and what they are.
_UNIT_NAMES = {
    **dict.fromkeys(("degree", "degrees", "deg"), "°"), **dict.fromkeys(("percent", "percentage"), "%"),
    **dict.fromkeys(("metre", "metres", "meter", "meters"), "m"),
    **dict.fromkeys(("centimetre", "centimetres", "centimeter", "centimeters"), "cm"),
    **dict.fromkeys(("kilometre", "kilometres", "kilometer", "kilometers"), "km"),
    **dict.fromkeys(("kilogram", "kilograms", "kgs"), "kg"), **dict.fromkeys(("gram", "grams"), "g"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "mins"), "min"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("foot", "feet"), "ft"),
    **dict.fromkeys(("inch", "inches"), "in"), **dict.fromkeys(("unit", "units"), ""),
}  # fmt: skip
Options = Mapping[str, str]

_LONGEST = 300  # characters of an answer that is compared
_INLINE = re.compile(r"\\[()\[\]]|\\(?:rm|bf|it|displaystyle)(?![A-Za-z])")
# Words that a text has by chance: as options they are named by themselves alone.
_COMMON = {"a", "an", "i", "no", "none", "yes", "all", "both", "one", "the", "it", "true", "false", "left",
           "right", "up", "down", "not", "or", "and", "is", "in", "at", "to", "of", "on", "we", "he",
           "other"}  # fmt: skip
_FORMULA = re.compile(
    r"\\(?!text|mathrm|textbf|mathbf|%|\$|&|#|_|\"|')[A-Za-z{}]|\^|√|π"
    r"|[\d)]\s*[-+*/=]\s*[\d(]|[A-Za-z0-9)]\s*=\s*\S"
    r"|\b\d*[A-Za-z]\s[-+*/]\s\d*[A-Za-z(]?\b|\d[A-Za-z]\s*[-+=]"
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{\w+\*?\}")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_NAME = re.compile(r"^\s*\\?[A-Za-z][\w ']*(?:_\{?\w+\}?)?(?:\([A-Za-z]\))?\s*(?:=|≈|\\approx)\s*(?=\S)")


def clean_text(text: str) -> str:
    """Strip LaTeX text commands, markdown emphasis, quotes, and punctuation at the ends."""
    text = _INLINE.sub(" ", MARKUP.sub(r"\1", text)).replace("\\$", "").replace("$", "")
    text = " ".join(text.split()).strip("*_`\"' ,:;!?").rstrip("*_`\"' .,:;!?")
    # The point of ".25" belongs to the number.
    return text if re.match(r"\.\d", text) else text.lstrip("*_`\"' .,:;!?")


def is_formula_like(text: str) -> bool:
    """Tell whether a statement is a formula rather than words with a number in them."""
    plain = strip_unit(MARKUP.sub(r" \1", _ENVIRONMENT.sub(r"\\begin ", text)).strip())
    return bool(_FORMULA.search(plain)) and not _WORD.search(re.sub(r"\\[A-Za-z]+", " ", plain))


def match_whole(text: str, options: Options) -> str:
    """Find the letter of the one option that `text` is, spaces and LaTeX apart; "" for none or several."""
    wanted = make_canonical(text[:_LONGEST])
    same = [letter for letter, option in options.items() if wanted and make_canonical(option) == wanted]
    return same[0] if len(same) == 1 else ""


def match_value(text: str, options: Options) -> str:
    """Find the letter of the one option with the value of `text`; "" for none or several.

    Compared are texts, numbers without their units, and formulas. Units tell options of one number apart.
    """
    text = text[:_LONGEST]
    if letter := match_whole(text, options):
        return letter
    bare = _NAME.sub("", strip_markup(text))
    if bare != text and (letter := match_whole(bare, options)):
        return letter
    same = [letter for letter, option in options.items() if _is_same(bare, option)]
    if len(same) > 1:
        unit = _unit_of(bare)
        same = [letter for letter in same if unit and _unit_of(options[letter]) == unit]
    return same[0] if len(same) == 1 else ""


def find_option(text: str, options: Options) -> str:
    """Find the letter of the one option whose text occurs in `text`; "" when none does, or several do.

    Words that occur in any text ("no", "I", a lone letter) must be all of the text, and a number must not be
    part of a formula.
    """
    spans: list[tuple[int, int, str]] = []
    cleaned = clean_text(text)
    for letter, option in options.items():
        option_text = clean_text(option)
        if not option_text:
            continue
        if option_text.lower() in _COMMON or (len(option_text) == 1 and option_text.isalpha()):
            if cleaned.lower() == option_text.lower():
                spans.append((0, len(cleaned), letter))
            continue
        spans += [(*m.span(), letter) for m in _pattern_of(option_text).finditer(cleaned)]
    # "red" is not named by "the red car" when "red car" is another option.
    outer = {
        letter
        for start, end, letter in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    }
    return outer.pop() if len(outer) == 1 else ""


@lru_cache(maxsize=8192)
def _pattern_of(option: str) -> re.Pattern[str]:
    text = re.escape(option)
    if re.fullmatch(r"[-+]?[\d.,]+", option):
        return re.compile(
            rf"(?<![\w.,+\-*/^_{{\\√])(?<![+*/^×·]\s){text}"
            r"(?![\w{}√π/^:]|[.,]\d|\s*[+*^×·=<>]|\s*\\(?!circ|%|text)|\s*-\s*\d|\s*/\s*\d)"
        )
    before = r"(?<![\w.])" if option[0].isascii() else ""
    after = r"(?!\w|\.\d)" if option[-1].isascii() else ""
    return re.compile(f"{before}{text}{after}", re.IGNORECASE)


@lru_cache(maxsize=8192)
def make_canonical(text: str) -> str:
    """Write a text in one form: LaTeX as plain signs, no spaces, no case."""
    text = _rewrite_unit(clean_text(text)).replace("\\frac", "frac").replace("\\sqrt", "√")
    text = text.replace("\\pi", "π").replace("\\times", "×").replace("\\cdot", "×")
    text = re.sub(r"[−–]", "-", text).replace("~", "")
    return re.sub(r"[\s'’{}\\]", "", text).lower()


def _is_same(answer: str, option: str) -> bool:
    """Tell whether two short texts have the same value, units apart."""
    number = read_number_alone(answer)
    if number and (other := read_number_alone(option)):
        return number == other and _units_agree(answer, option)
    plain = strip_unit(MARKUP.sub(r" \1", strip_markup(answer)).strip())
    bare = strip_unit(MARKUP.sub(r" \1", _NAME.sub("", strip_markup(option))).strip())
    return is_same_value(plain, bare) and _units_agree(answer, option)


def _units_agree(one: str, other: str) -> bool:
    first, second = _unit_of(one), _unit_of(other)
    return not first or not second or first == second


@lru_cache(maxsize=8192)
def _unit_of(text: str) -> str:
    """What stands after a number or formula, in one form; "" for nothing."""
    plain = MARKUP.sub(r" \1", _rewrite_unit(text)).strip()
    bare = strip_unit(plain)
    unit = re.sub(r"[\s{}.]", "", plain[len(bare) :]).lower() if plain.startswith(bare) else ""
    return _UNIT_NAMES.get(unit, unit)


def _rewrite_unit(text: str) -> str:
    """Write the signs of units in one form."""
    text = strip_markup(text).replace("\\%", "%").replace("²", "^2").replace("³", "^3")
    return re.sub(r"\^?\{?\\circ\}?", "°", text)
