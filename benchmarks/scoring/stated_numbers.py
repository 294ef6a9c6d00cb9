"""Read numbers and formulas as answers state them: units, separators, fractions, powers of ten, LaTeX."""

import re
from decimal import Decimal

from benchmarks.scoring.formula_value import evaluate_formula, rewrite_plain
from benchmarks.scoring.number_words import find_number_words, read_chinese

# LaTeX commands that only say how a text looks.
MARKUP = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|mathit|operatorname|mbox|emph)\s*\{([^{}]*)\}")
_LONGEST = 300  # characters of a statement that are read: a model may write digits for ever
_SIGNS = re.compile(r"[\d\\=+^*/√π]")
_UNBOUNDED = re.compile(r"!|\^\{?\s*\d{3,}")

_NUMBER = re.compile(
    r"(?<![A-Za-z])[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,2}(?!\d))?"
)
_POWER = re.compile(rf"({_NUMBER.pattern})\s*(?:\\times|\\cdot|×|\*|x)?\s*10\s*\^\s*\{{?([-+]?\d{{1,2}})\}}?")
# What a number may be written with: digits, signs and the commands for fractions, roots, pi, periods.
_EXPRESSION = re.compile(
    r"(?:\\(?:frac|sqrt|pi|overline|bar|times|cdot)(?![a-z])|[\d.,+\-*/^{}()]|\s(?=[\d\\+\-*/^]))+"
)
_FORMULA_MARK = re.compile(r"\\|\^|/|\d \d")
_LATEX_MARK = re.compile(r"\\|\^")
_SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\quad|~")
_THIN_COMMA = re.compile(r"(?<=\d),\\!\s*(?=\d{3})")  # how some write thousands in LaTeX
_DELIMITERS = re.compile(r"\\[()\[\]]|\\left|\\right|(?<!\\)\$|\\displaystyle")
_UNIT = re.compile(
    r"\^?\{?\\circ\}?|[°%$€£]|\\%|\\\$"
    r"|(?:[munck]?m|[mk]?g|m?[lLsh]|min|ft|in|deg|km/h|m/s)(?:\s*\^\s*\{?[23]\}?|[²³])?"
)
_UNIT_WORD = re.compile(rf"{_UNIT.pattern}|(?!\\)[A-Za-z][A-Za-z/]+\.?(?:\s*\^\s*\{{?[23]\}}?|[²³])?")
_VARIABLE = re.compile(r"^\s*\\?[A-Za-z]+(?:_\{?\w+\}?)?'*(?:\([a-z]\))?\s*(?:=|≈|\\approx)\s*(?=\S)")
_ASSIGNMENT = re.compile(r"(?<![\w\\])\\?[A-Za-z]\w{0,3}\s*=\s*[-+]?[\d\\.]")
_EQUALS = re.compile(r"=|≈|\\approx|\\rightarrow|\\Rightarrow|→|\bwhich\s+(?:is|makes|gives)\b|\bi\.e\.")
_NO_NUMBER = re.compile(r"\bbetween\b.*\band\b|\d:\d\d(?!\d)", re.DOTALL)


def read_number(text: str) -> str:
    """Read the number that a text states, without unit, as a plain decimal: "1,234 cm" -> "1234".

    Of several the one after the last "=", else the first. Fractions, powers, roots, periods, per cent
    (45% -> 45), words and LaTeX are read; "" when there is none, or when several things are given values.
    """
    text = text[:_LONGEST]
    if len(_ASSIGNMENT.findall(text)) > 1 and "," in text:
        return ""
    if _NO_NUMBER.search(text):  # a range, a time of the day
        return ""
    text = strip_unit(_read_plain(text))
    pieces = [p for p in _EQUALS.split(text) if re.search(r"\d|\\pi|π", p)]
    text = rewrite_plain(strip_unit(pieces[-1].strip()) if pieces else text)
    if power := _POWER.search(text):
        return _write_decimal(Decimal(power[1].replace(",", "")).scaleb(int(power[2])))
    for match in _EXPRESSION.finditer(text):
        expression = (
            match[0].strip(" ,.+*/") if not re.match(r"\s*\.\d", match[0]) else match[0].strip(" ,+*/")
        )
        if not re.search(r"\d|\\pi", expression):
            continue
        if _FORMULA_MARK.search(expression):
            value = evaluate_formula(expression)
            if isinstance(value, complex) and value.imag == 0:
                return _write_float(value.real)
            if _LATEX_MARK.search(expression) or "/0" in expression:
                return ""
        if digits := _NUMBER.search(expression):
            return _write_decimal(Decimal(digits[0].replace(",", "")))
    words = find_number_words(text)
    return words[0] if len(words) == 1 else read_chinese(text.strip())


def read_number_alone(text: str) -> str:
    """Read the number that a text is, apart from a unit: "14 cm" -> "14"; "" for any other text."""
    plain = strip_unit(_read_plain(text)) if len(text) <= _LONGEST else ""
    return _write_decimal(Decimal(plain.replace(",", ""))) if _NUMBER.fullmatch(plain) else ""


def strip_markup(text: str) -> str:
    """Strip delimiters, LaTeX's spaces and a leading "x =" off a formula."""
    text = _THIN_COMMA.sub(",", text.replace("\\$", ""))
    text = _DELIMITERS.sub("", _SPACES.sub("", text)).replace("\\dfrac", "\\frac")
    return _VARIABLE.sub("", text.replace("\\tfrac", "\\frac"))


def is_formula(text: str) -> bool:
    """Tell whether sympy may be given a text.

    Neither words nor a sentence, and nothing that it could work on for ever: towers of powers, factorials.
    """
    short = len(text) <= 200 and len(text.split()) <= 12
    return short and bool(_SIGNS.search(text)) and not _UNBOUNDED.search(text) and not _has_tower(text)


def _has_tower(text: str) -> bool:
    """Tell whether an exponent holds another power, or is raised itself: 9^{9^9}, 2^3^4."""
    for place in (at for at, sign in enumerate(text) if sign == "^"):
        end, depth = place + 1, 0
        while end < len(text):
            sign = text[end]
            depth += 1 if sign in "{(" else -1 if sign in "})" else 0
            if sign == "^":
                return True
            end += 1
            if depth <= 0 and not sign.isspace() and not (sign.isdigit() and text[end : end + 1].isdigit()):
                break
        if text[end:].lstrip()[:1] == "^":
            return True
    return False


def strip_unit(text: str) -> str:
    """Strip up to three unit words at the end, currency before it, and a unit written to a number."""
    text = text.lstrip("$€£ ")
    for _ in range(3):
        head, space, word = text.rpartition(" ")
        if not (space and _UNIT_WORD.fullmatch(word) and re.search(r"[\dπ}]|\\pi", head)):
            break
        text = head.rstrip()
    attached = re.search(rf"(?<=[\d}}π])(?:{_UNIT.pattern})$", text)
    return text[: attached.start()] if attached else text


def _read_plain(text: str) -> str:
    text = _DELIMITERS.sub("", _SPACES.sub("", MARKUP.sub(r" \1", _THIN_COMMA.sub(",", text))))
    for old, new in (("{,}", ","), ("\\%", "%"), ("\\$", "$"), ("−", "-"), ("–", "-"), ("\\dfrac", "\\frac"),
                     ("\\tfrac", "\\frac"), ("**", "")):  # fmt: skip
        text = text.replace(old, new)
    text = re.sub(
        r"^(\s*[-+]?\s*)(\d{1,3}(?: \d{3})+)(?![\d.])", lambda m: m[1] + m[2].replace(" ", ""), text
    )
    text = re.sub(r"^(\s*[-+])\s+(?=[\d.\\])", r"\1", text).strip(" ,;:").rstrip(".")
    return text if re.match(r"[-+]?\.\d", text) else text.lstrip(" .")


def _write_decimal(value: Decimal) -> str:
    """Write a decimal without exponent and without zeros at the end."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _write_float(value: float) -> str:
    """Write a computed number; what is whole but for rounding is whole."""
    if value == round(value) or abs(value - round(value)) < 1e-12 * max(1.0, abs(value)):
        return _write_decimal(Decimal(round(value)))
    return _write_decimal(Decimal(repr(value)))
