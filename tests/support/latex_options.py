"""Made multiple-choice questions whose options are formulas, each with ways to write its value."""

import random
from collections.abc import Callable
from fractions import Fraction

Writings = tuple[str, ...]  # of one value, plain text and LaTeX


def _fraction(rng: random.Random) -> Writings:
    top, bottom = rng.randint(1, 19), rng.randint(2, 12)
    value = Fraction(top, bottom)
    if value.denominator == 1:
        value += Fraction(1, 2)
    sign = rng.choice(["", "", "-"])
    t, b = value.numerator, value.denominator
    return (
        f"{sign}{t}/{b}",
        f"{sign}\\frac{{{t}}}{{{b}}}",
        f"{sign}\\dfrac{{{t}}}{{{b}}}",
        f"${sign}\\frac{{{t}}}{{{b}}}$",
    )


def _root(rng: random.Random) -> Writings:
    factor, inside = rng.randint(1, 9), rng.choice([2, 3, 5, 6, 7, 10, 11])
    written = "" if factor == 1 else str(factor)
    return (
        f"{written}√{inside}",
        f"{written}\\sqrt{{{inside}}}",
        f"${written}\\sqrt{{{inside}}}$",
        f"{written}\\sqrt {inside}",
    )


def _root_fraction(rng: random.Random) -> Writings:
    inside, bottom = rng.choice([2, 3, 5, 7]), rng.randint(2, 9)
    return (
        f"\\frac{{\\sqrt{{{inside}}}}}{{{bottom}}}",
        f"√{inside}/{bottom}",
        f"\\dfrac{{\\sqrt{{{inside}}}}}{{{bottom}}}",
    )


def _pi(rng: random.Random) -> Writings:
    factor = rng.randint(2, 60)
    return (f"{factor}π", f"{factor}\\pi", f"${factor}\\pi$", f"{factor} \\pi")


def _angle(rng: random.Random) -> Writings:
    degrees = rng.randint(1, 180)
    return (
        f"{degrees}°",
        f"{degrees}^\\circ",
        f"{degrees}^{{\\circ}}",
        f"${degrees}^{{\\circ}}$",
        f"{degrees}",
    )


def _percent(rng: random.Random) -> Writings:
    number = rng.randint(1, 100)
    return (f"{number}%", f"{number}\\%", f"${number}\\%$", f"{number}")


def _thousands(rng: random.Random) -> Writings:
    number = rng.randint(1000, 99_999)
    return (
        f"{number}",
        f"{number:,}",
        f"{number:,}".replace(",", "{,}"),
        f"{number}.0",
        f"{number:,}".replace(",", "\\,"),
    )


def _pair(rng: random.Random) -> Writings:
    x, y = rng.randint(-9, 9), rng.randint(-9, 9)
    return (f"({x}, {y})", f"({x},{y})", f"\\left({x}, {y}\\right)", f"$({x},{y})$")


def _polynomial(rng: random.Random) -> Writings:
    a, b, c = rng.randint(1, 5), rng.randint(1, 9), rng.randint(1, 9)
    first = "" if a == 1 else str(a)
    return (
        f"{first}x^2+{b}x+{c}",
        f"{first}x^{{2}}+{b}x+{c}",
        f"${first}x^2 + {b}x + {c}$",
        f"{first}x²+{b}x+{c}",
        f"{c}+{b}x+{first}x^2",
    )


def _power(rng: random.Random) -> Writings:
    base, exponent = rng.randint(2, 12), rng.randint(2, 9)
    return (f"{base}^{exponent}", f"{base}^{{{exponent}}}", f"${base}^{{{exponent}}}$")


def _small_power(rng: random.Random) -> Writings:
    exponent = rng.randint(1, 4)
    return (f"10^{{-{exponent}}}", f"10^-{exponent}", f"0.{'0' * (exponent - 1)}1")


def _length(rng: random.Random) -> Writings:
    number = rng.randint(1, 300)
    return (
        f"{number} cm",
        f"{number}\\text{{ cm}}",
        f"${number} \\mathrm{{~cm}}$",
        f"{number}\\,\\mathrm{{cm}}",
        f"{number}",
    )


def _ratio(rng: random.Random) -> Writings:
    left, right = rng.randint(1, 12), rng.randint(1, 12)
    return (f"{left}:{right}", f"$ {left}: {right} $", f"{left} : {right}")


def _decimal(rng: random.Random) -> Writings:
    number = rng.randint(1, 999)
    return (f"0.{number:03d}", f".{number:03d}", f"${'0'}.{number:03d}$")


MAKERS: dict[str, Callable[[random.Random], Writings]] = {
    "fraction": _fraction, "root": _root, "root fraction": _root_fraction, "pi": _pi, "angle": _angle,
    "percent": _percent, "thousands": _thousands, "pair": _pair, "polynomial": _polynomial, "power": _power,
    "small power": _small_power, "length": _length, "ratio": _ratio, "decimal": _decimal,
}  # fmt: skip


def make_question(rng: random.Random) -> tuple[str, dict[str, str], str, Writings]:
    """Make a question: its kind, options by letter, the right letter, and the writings of its value."""
    kind = rng.choice(sorted(MAKERS))
    values: list[Writings] = []
    while len(values) < rng.choice([3, 4, 5]):
        value = MAKERS[kind](rng)
        if value[0] not in {known[0] for known in values}:
            values.append(value)
    form = rng.randrange(8)  # one question writes its options alike
    options = {letter: value[form % len(value)] for letter, value in zip("ABCDE", values, strict=False)}
    letter = rng.choice(sorted(options))
    return kind, options, letter, values["ABCDE".index(letter)]
