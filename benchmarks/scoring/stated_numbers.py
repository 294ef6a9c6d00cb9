"""Read numbers and formulas as answers state them: units, separators, fractions, powers of ten, LaTeX."""

import re
from decimal import Decimal
from fractions import Fraction

# LaTeX commands that only say how a text looks.
MARKUP = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}")
_LONGEST = 300  # characters of a statement that are read: a model may write digits for ever
_SIGNS = re.compile(r"[\d\\=+^*/]")
_UNBOUNDED = re.compile(r"!|\^\{?\s*\d{3,}|\^.*\^")

_NUMBER = re.compile(
    r"(?<![A-Za-z])[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,2}(?!\d))?"
)
_POWER = re.compile(
    rf"({_NUMBER.pattern})\s*(?:\\times|\\cdot|×|\*|x)\s*10\s*(?:\^|\*\*)\s*\{{?([-+]?\d{{1,2}})\}}?"
)
_FRACTION = re.compile(
    rf"({_NUMBER.pattern})?\s*\\[dt]?frac\s*(?:\{{\s*([-+]?\d+(?:\.\d+)?)\s*\}}\s*\{{\s*(\d+(?:\.\d+)?)\s*\}}"
    r"|(\d)\s*(\d))"
    r"|([-+]?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)"
)
_SPACES = re.compile(r"\\[,;:! ]|\\quad|~")
_DELIMITERS = re.compile(r"\\[()\[\]]|\\left|\\right|\$")
_UNIT = re.compile(
    r"\^?\{?\\circ\}?|[°%$€£]"
    r"|(?:[munck]?m|[mk]?g|m?[lLsh]|min|ft|in|deg|km/h|m/s)(?:\^\{?[23]\}?|[²³])?"
)
_UNIT_WORD = re.compile(rf"{_UNIT.pattern}|(?!\\)[A-Za-z][A-Za-z/]+\.?(?:\^\{{?[23]\}}?|[²³])?")
_VARIABLE = re.compile(r"^\s*\\?[A-Za-z](?:_\{?\w+\}?)?(?:\([a-z]\))?\s*(?:=|≈|\\approx)\s*(?=\S)")
_WORDS = {"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
          "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12"}  # fmt: skip


def number(text: str) -> str:
    """Read the number that a text states, without unit, as a plain decimal: "1,234 cm" -> "1234".

    Of several the one after the last "=", else the first. Fractions, powers of ten, per cent (45% -> 45)
    and LaTeX are read; "" when there is none.
    """
    text = _without_unit(_plain(text[:_LONGEST]))
    pieces = [p for p in re.split(r"=|≈|\\approx", text) if re.search(r"\d|\\pi|π", p)]
    text = pieces[-1] if pieces else text
    if re.search(r"\\sqrt|\\pi|π", text):
        return _evaluated(text)
    if power := _POWER.search(text):
        return _decimal(Decimal(power[1].replace(",", "")).scaleb(int(power[2])))
    if fraction := _FRACTION.search(text):
        return _fraction(fraction)
    if digits := _NUMBER.search(text):
        return _decimal(Decimal(digits[0].replace(",", "")))
    words = [_WORDS[w] for w in re.findall(r"[a-z]+", text.lower()) if w in _WORDS]
    return words[0] if len(words) == 1 else ""


def number_alone(text: str) -> str:
    """Read the number that a text is, apart from a unit: "14 cm" -> "14"; "" for any other text."""
    plain = _without_unit(_plain(text)) if len(text) <= _LONGEST else ""
    return _decimal(Decimal(plain.replace(",", ""))) if _NUMBER.fullmatch(plain) else ""


def bare(text: str) -> str:
    """Strip delimiters, LaTeX's spaces and a leading "x =" off a formula."""
    return _VARIABLE.sub("", _DELIMITERS.sub("", _SPACES.sub("", text)).replace("\\dfrac", "\\frac"))


def is_formula(text: str) -> bool:
    """Tell whether sympy may be given a text.

    Neither words nor a sentence, and nothing that it could work on for ever: towers of powers, factorials.
    """
    short = len(text) <= 200 and len(text.split()) <= 8
    return short and bool(_SIGNS.search(text)) and not _UNBOUNDED.search(text)


def _plain(text: str) -> str:
    text = _DELIMITERS.sub("", _SPACES.sub("", MARKUP.sub(r" \1", text)))
    for old, new in (("{,}", ","), ("\\%", "%"), ("−", "-"), ("–", "-"), ("\\dfrac", "\\frac"), ("**", "")):
        text = text.replace(old, new)
    return text.strip(" .,;:")


def _without_unit(text: str) -> str:
    """Strip up to three unit words at the end, currency before it, and a unit written to a number."""
    text = text.lstrip("$€£ ")
    for _ in range(3):
        head, space, word = text.rpartition(" ")
        if not (space and _UNIT_WORD.fullmatch(word) and re.search(r"[\dπ}]|\\pi", head)):
            break
        text = head.rstrip()
    attached = re.search(rf"(?<=[\d}}π])(?:{_UNIT.pattern})$", text)
    return text[: attached.start()] if attached else text


def _decimal(value: Decimal) -> str:
    """Write a decimal without exponent and without zeros at the end."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _fraction(match: re.Match[str]) -> str:
    whole, top, bottom, short_top, short_bottom, left, right = match.groups()
    value = Fraction(top or short_top or left), Fraction(bottom or short_bottom or right)
    if not value[1]:
        return ""
    result = value[0] / value[1]
    if whole:
        mixed = Fraction(whole.replace(",", ""))
        result = mixed - result if mixed < 0 else mixed + result
    if result.denominator == 1:
        return str(result.numerator)
    try:
        return _decimal(Decimal(repr(float(result))))
    except OverflowError:
        return ""


def _evaluated(text: str) -> str:
    """Evaluate a formula with roots or pi by sympy; only short ones: what a model writes has no bounds."""
    formula = re.sub(r"π", r"\\pi ", text)
    if not is_formula(formula):
        return ""
    from latex2sympy2_extended import latex2sympy

    try:
        return repr(float(latex2sympy(formula).evalf()))
    except Exception:  # whatever the parser trips over: it is no number
        return ""
