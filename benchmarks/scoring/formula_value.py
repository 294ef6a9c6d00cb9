"""Evaluate short formulas as answers write them, LaTeX or plain text, to compare them by value.

math-verify would do the same, at 10 to 450 ms a formula and with no bound; an answer is read in a few. What
this grammar does not know has no value here. Letters stand for fixed numbers, so that equal polynomials are
equal: two different ones of an answer's size do not meet in such a point.
"""

import cmath
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

LONGEST = 120  # characters
_DEEPEST = 24
_LARGEST = 1e15  # above it floats tell too little apart

# How plain text writes what LaTeX has a command for.
_PLAIN = [
    (re.compile(r"√\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*\{?(\d+(?:\.\d+)?|[A-Za-z])\}?"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\A-Za-z])sqrt\s*\("), r"\\sqrt("),
    (re.compile(r"(?<![\\A-Za-z])pi\b|π"), r"\\pi "),
    (re.compile(r"[−–‑‒]"), "-"),
    (re.compile(r"[×·∙⋅]|\\times|\\cdot|\*\*(?!\d)"), "*"),
    (re.compile(r"÷|\\div"), "/"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
]
# Words are no products of their letters: a formula has a digit, a sign or a command, or is one letter.
_LOOKS_LIKE_ONE = re.compile(r"\d|\\|[-+*/^=√π½⅓⅔¼¾]|^\W*[A-Za-z]\W*$|\bpi\b")
_WORD = re.compile(r"(?<![\\A-Za-z])(?!sqrt\b|sqrt\()[A-Za-z]{4,}(?![A-Za-z{])")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅙": "1/6", "⅛": "1/8",
           "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}  # fmt: skip
_LAYOUT = re.compile(
    r"(?<!\\)\\[,;:! ]|\\quad|\\qquad|~|\\left|\\right|\\displaystyle|\\[()\[\]]|\$|\\(?=[$%])"
)
_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d{3})|(?<=\d),(?=\d{3}(?!\d))(?![^(]*\d,\d{1,2}(?!\d))")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<repeating>\\overline\{\d{1,6}\}|\\bar\{\d{1,6}\})?"
    r"|(?P<command>\\[A-Za-z]+)|(?P<letter>[A-Za-z])|(?P<sign>\\?[{}]|[-+*/^()\[\]=,_]))"
)
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "\\sin": cmath.sin, "\\cos": cmath.cos, "\\tan": cmath.tan, "\\ln": cmath.log, "\\exp": cmath.exp,
}  # fmt: skip
_CONSTANTS = {"\\pi": math.pi, "\\infty": 1.2345e14}
_OPENING, _CLOSING = ("(", "[", "{", "\\{"), (")", "]", "}", "\\}")
Value = complex | tuple[str | complex, ...]


class _UnknownGrammarError(Exception):
    """The text is no formula of this grammar."""


@dataclass(frozen=True)
class Equation:
    """Two sides of an equation, each a value."""

    left: Value
    right: Value


@lru_cache(maxsize=4096)
def evaluate_formula(text: str) -> Value | Equation | None:
    """Evaluate a formula: a number, a tuple with its brackets, or an equation; None for what is none.

    Percent and degree signs are dropped: 45%, 45\\% and 45^\\circ are 45.
    """
    if len(text) > LONGEST or not _LOOKS_LIKE_ONE.search(text) or _WORD.search(text):
        return None
    try:
        return _Parser(_tokenize(rewrite_plain(text))).parse()
    except (_UnknownGrammarError, ArithmeticError, ValueError, RecursionError):
        return None


def is_same_value(one: str, other: str) -> bool:
    """Tell whether two formulas have the same value; False where either has none."""
    first, second = evaluate_formula(one), evaluate_formula(other)
    if first is None or second is None:
        return False
    if isinstance(first, Equation) or isinstance(second, Equation):
        if not (isinstance(first, Equation) and isinstance(second, Equation)):
            return False
        pairs = [(first.left, first.right), (second.left, second.right)]
        return any(
            _is_close(pairs[0][0], pairs[1][i]) and _is_close(pairs[0][1], pairs[1][1 - i]) for i in (0, 1)
        )
    return _is_close(first, second)


def _is_close(one: Value, other: Value) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        one, other = _order_set(one), _order_set(other)
        if not (isinstance(one, tuple) and isinstance(other, tuple)) or len(one) != len(other):
            return False
        return all(
            a == b if isinstance(a, str) or isinstance(b, str) else _is_close(a, b)
            for a, b in zip(one, other, strict=True)
        )
    return cmath.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _order_set(value: Value) -> Value:
    if isinstance(value, tuple) and value[0] == "\\{":
        members = sorted((m for m in value[1:-1] if not isinstance(m, str)), key=lambda m: (m.real, m.imag))
        return ("\\{", *members, "\\}")
    return value


def rewrite_plain(text: str) -> str:
    """Write plain text as LaTeX, without what only says how it looks."""
    for sign, fraction in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(\d)\s*{sign}", rf"\1 {fraction}", text).replace(sign, fraction)
    text = _RAISED.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    for pattern, latex in _PLAIN:
        text = pattern.sub(latex, text)
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf|mathit|rm)\{([^{}]*)\}", r"\1", text)
    text = _LAYOUT.sub("", text)
    if not text.lstrip().startswith(("(", "[", "{")):  # (2,300) is a pair
        text = _COMMA.sub("", text)
    text = re.sub(r"\^?\{?\\circ\}?|[°%]", "", text)
    return re.sub(r"(?<![\d.])(\d{1,3})((?: \d{3})+)(?![\d.])", lambda m: m[1] + m[2].replace(" ", ""), text)


def _tokenize(text: str) -> list[str | float]:
    tokens: list[str | float] = []
    position, text = 0, text.strip().rstrip(".,;")
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise _UnknownGrammarError
        position = match.end()
        if match["number"]:
            tokens.append(_read_digits(match["number"], match["repeating"]))
        else:
            tokens.append(match["command"] or match["letter"] or match["sign"])
    return tokens


def _read_digits(digits: str, repeating: str | None) -> float:
    if not repeating:
        return float(digits)
    period = re.sub(r"\D", "", repeating)
    places = len(digits.partition(".")[2])
    return float(Fraction(digits) + Fraction(int(period), (10 ** len(period) - 1) * 10**places))


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tokens: list[str | float]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    def parse(self) -> Value | Equation:
        sides = [self._read_list()]
        while self._take("="):
            sides.append(self._read_list())
        # "x = 5, y = 6" are two equations, of which none is the answer.
        if self._at < len(self._tokens) or (len(sides) > 2 and "," in self._tokens):
            raise _UnknownGrammarError
        return sides[0] if len(sides) == 1 else Equation(sides[0], sides[-1])

    # --- tokens

    def _peek(self, ahead: int = 0) -> str | float | None:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def _take(self, token: str) -> bool:
        if self._peek() == token:
            self._at += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _UnknownGrammarError

    # --- grammar

    def _read_list(self) -> Value:
        """A value, or several with commas between, as a list without brackets."""
        first = self._read_value()
        if self._peek() != ",":
            return first
        members: list[str | complex] = ["", *_flatten(first)]
        while self._take(","):
            members += _flatten(self._read_value())
        return (*members, "")

    def _read_value(self) -> Value:
        """A tuple, an interval or a set in its brackets; else a sum."""
        opening = self._peek()
        if opening not in _OPENING or not self._has_comma():
            return self._read_sum()
        self._at += 1
        members = self._read_list()
        closing = self._peek()
        if not isinstance(members, tuple) or closing not in _CLOSING:
            raise _UnknownGrammarError
        self._at += 1
        return (str(opening), *members[1:-1], str(closing))

    def _has_comma(self) -> bool:
        """Whether the bracket that opens here holds a comma at its own level."""
        depth = 0
        for token in self._tokens[self._at :]:
            depth += 1 if token in _OPENING else -1 if token in _CLOSING else 0
            if depth == 0:
                return False
            if token == "," and depth == 1:
                return True
        return False

    def _read_sum(self) -> complex:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnknownGrammarError
        sign = -1.0 if self._take("-") else 1.0
        if sign == 1.0:
            self._take("+")
        value = sign * self._read_product()
        while self._peek() in ("+", "-"):
            add = self._peek() == "+"
            self._at += 1
            term = self._read_product()
            value = value + term if add else value - term
        self._depth -= 1
        if abs(value) > _LARGEST:
            raise _UnknownGrammarError
        return value

    def _read_product(self) -> complex:
        value, before = self._read_power(), self._tokens[self._at - 1]
        while (token := self._peek()) is not None:
            if token == "*":
                self._at += 1
                value = value * self._read_signed_power()
            elif token == "/":
                self._at += 1
                value = value / self._read_signed_power()
            elif isinstance(token, float):
                # "2 2/3": a whole number and a fraction. Two numbers side by side mean nothing else.
                if not (
                    isinstance(before, float) and self._peek(1) == "/" and isinstance(self._peek(2), float)
                ):
                    raise _UnknownGrammarError
                bottom = self._peek(2)
                assert isinstance(bottom, float)
                self._at += 3
                value = value + token / bottom
            elif token == "\\frac" and isinstance(before, float) and value == before:
                fraction = self._read_power()
                # A whole number before a proper fraction of numbers is a mixed number, 2\frac{1}{2}.
                mixed = fraction.imag == 0 and 0 < fraction.real < 1 and self._is_numeric_fraction()
                value = value + fraction if mixed else value * fraction
            elif token in ("(", "{") or (
                isinstance(token, str) and token not in _CLOSING and (token.isalpha() or token[0] == "\\")
            ):
                value = value * self._read_power()
            else:
                break
            before = self._tokens[self._at - 1]
        return value

    def _is_numeric_fraction(self) -> bool:
        """Whether the fraction just read has numbers alone: \\frac{1}{2}, \\frac12."""
        back = self._at - 1
        while back >= 0 and self._tokens[back] != "\\frac":
            if isinstance(token := self._tokens[back], str) and token not in "{}":
                return False
            back -= 1
        return True

    def _read_signed_power(self) -> complex:
        if self._take("-"):
            return -self._read_power()
        return self._read_power()

    def _read_power(self) -> complex:
        value = self._read_atom()
        if self._take("^"):
            exponent = self._read_signed_atom()
            if abs(exponent) > 64:
                raise _UnknownGrammarError
            value = _raise(value, exponent)
        return value

    def _read_signed_atom(self) -> complex:
        return -self._read_atom() if self._take("-") else self._read_atom()

    def _read_atom(self) -> complex:
        token = self._peek()
        self._at += 1
        if isinstance(token, float):
            return complex(token)
        if token is None:
            raise _UnknownGrammarError
        if token in ("(", "{", "["):
            value = self._read_sum()
            self._expect({"(": ")", "{": "}", "[": "]"}[token])
            return value
        if token.isalpha():
            if self._take("_"):  # x_1 is a letter of its own
                index = self._peek()
                self._read_atom()
                return _give_number(f"{token}_{index}")
            return _give_number(token)
        return self._read_command(token)

    def _read_command(self, command: str) -> complex:
        if command in _CONSTANTS:
            return complex(_CONSTANTS[command])
        if command == "\\frac":
            top, bottom = self._read_argument(), self._read_argument()
            return top / bottom
        if command == "\\sqrt":
            degree = 2.0 + 0j
            if self._take("["):
                degree = self._read_sum()
                self._expect("]")
            inside = self._read_argument()
            negative = inside.imag == 0 and inside.real < 0 and degree.real % 2 == 1
            return -_raise(-inside, 1 / degree) if negative else _raise(inside, 1 / degree)
        if command == "\\log":
            base = self._read_argument() if self._take("_") else 10 + 0j
            return cmath.log(self._read_atom()) / cmath.log(base)
        if command in _FUNCTIONS:
            exponent = self._read_atom() if self._take("^") else 1 + 0j
            return complex(_FUNCTIONS[command](self._read_atom()) ** exponent)
        if command in _GREEK:
            return _give_number(command)
        raise _UnknownGrammarError

    def _read_argument(self) -> complex:
        """A group in braces, or one digit, letter or command: \\frac12 is a half."""
        token = self._peek()
        if isinstance(token, float) and token >= 10 and token == int(token):
            # The digits of \frac12 or \frac1{12} came as one number: take the first.
            digits = str(int(token))
            self._tokens[self._at : self._at + 1] = [float(digits[0]), float(digits[1:])]
        return self._read_atom()


_GREEK = {f"\\{name}" for name in ("alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "phi", "rho",
                                    "sigma", "tau", "omega", "varphi", "Delta", "Omega")}  # fmt: skip


def _give_number(name: str) -> complex:
    """Give a letter its fixed number, between 1 and 2, without pattern."""
    seed = sum(ord(char) * 31**place for place, char in enumerate(name))
    return complex(1 + math.modf(math.sin(seed) * 43758.5453)[0] % 1)


def _raise(base: complex, exponent: complex) -> complex:
    """Raise to a power, real where it can be: complex powers carry rounding into the imaginary part."""
    if base.imag == exponent.imag == 0 and (base.real >= 0 or exponent.real == int(exponent.real)):
        value = complex(base.real**exponent.real)
    else:
        value = base**exponent
    if abs(value) > _LARGEST:
        raise _UnknownGrammarError
    return value


def _flatten(value: Value) -> tuple[str | complex, ...]:
    return value if isinstance(value, tuple) else (value,)
