"""Tell whether an answer equals a gold answer: as text, as a number apart from its unit, or as a formula."""

import re

from benchmarks.scoring.answer_forms import reduce_answer
from benchmarks.scoring.formula_value import is_same_value, rewrite_plain
from benchmarks.scoring.option_values import make_canonical
from benchmarks.scoring.stated_numbers import MARKUP, is_formula, strip_markup, strip_unit

# "Area of sector $=6 \\pi$", "S.A. $=...": what is named before a value. One letter may be a variable.
_LABEL = re.compile(
    r"^[\s$]*(?:\\mathrm\{\w+\}|[A-Za-z][A-Za-z. ]*?)?(?:\([A-Za-z]\))?[\s$]*=(?=.*\S)", re.DOTALL
)
_TURNED_LABEL = re.compile(r"^([-+\d.,]+)\s*=\s*[A-Za-z]$")  # "5=s"
_UNITS = re.compile(
    r"(?:\s|(?<=[\d}π.)]))(?:(?:square|cubic|sq\.?|cu\.?)\s+)?(?:units?|[A-Za-z]{1,2}m|m|metres?|meters?|litres?|liters?)"
    r"\s*\$?\s*(?:\^\s*\{?\s*[23]\s*\}?)?\$?\s*$"
)
_RATE = re.compile(r"\b([a-z]{1,4})\s*/\s*([a-z]{1,4})\s*\$?$")


def answers_agree(answer: str, truth: str) -> bool:
    """Tell whether two answers agree: as texts, or as numbers or formulas by value and by math-verify.

    Labels ("Area = ...") and units do not count, nor do upper and lower case in words. A single letter is an
    option, which equals itself alone. Sentences agree as texts only: math-verify would look for a formula in
    them.
    """
    if not answer.strip() or not truth.strip():
        return False
    if make_canonical(answer) == make_canonical(truth):
        return True
    answer, truth = (_reduce(text) for text in (answer, truth))
    if not answer or not truth:
        return False
    if make_canonical(answer) == make_canonical(truth):
        return True
    if len(truth) == 1 and truth.isalpha():
        return False
    if is_same_value(answer, truth):
        return True
    answer, truth = rewrite_plain(answer), rewrite_plain(truth)
    if not is_formula(answer):
        return False
    from math_verify import parse, verify

    # Without its time limits: what is right must not depend on how busy the machine is.
    pair = [parse(f"${text}$", parsing_timeout=None) for text in (truth, answer)]
    return bool(verify(*pair, timeout_seconds=None))


def _reduce(text: str) -> str:
    """Strip label, delimiters and unit."""
    text = MARKUP.sub(r" \1", text.replace("掳", "°")).replace("$", "")
    text = re.sub(r"\^?\{?\\circ\}?", "°", text)
    text = re.sub(r"°\s*T\s*$", "°", text)  # a true bearing
    text = _TURNED_LABEL.sub(r"\1", _LABEL.sub("", strip_markup(text)).strip())
    text = _UNITS.sub("", _RATE.sub(r" \1/\2", text)).strip(" .")
    return (
        reduce_answer(strip_unit(text), "math", {})
        .removesuffix("\\%")
        .removesuffix("%")
        .removesuffix("°")
        .strip()
    )
