"""Values of formulas: the same as math-verify's, for made formulas and for real gold answers; and bounded."""

import cmath
import logging

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from math_verify import parse

from benchmarks.scoring.formula_value import LONGEST, evaluate_formula, is_same_value, rewrite_plain
from tests.support.shared_data import read_records

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that we give it all the time it needs

SMALL, DIGIT = st.integers(1, 60), st.integers(2, 9)


def _combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """LaTeX of one more operation around simpler formulas."""
    return st.one_of(
        st.builds("\\frac{{{}}}{{{}}}".format, inner, inner),
        st.builds("\\dfrac{{{}}}{{{}}}".format, inner, SMALL),
        st.builds("\\sqrt{{{}}}".format, inner),
        st.builds("\\sqrt[3]{{{}}}".format, inner),
        st.builds("\\left({}\\right)^{{{}}}".format, inner, st.integers(-2, 3)),
        st.builds("{} \\cdot ({})".format, inner, inner),
        st.builds("({}) \\times {}".format, inner, DIGIT),
        st.builds("{} + {}".format, inner, inner),
        st.builds("{} - ({})".format, inner, inner),
        st.builds("-({})".format, inner),
    )


ATOMS = st.one_of(
    SMALL.map(str),
    st.builds("{}.{}".format, SMALL, SMALL),
    st.builds("\\frac{{{}}}{{{}}}".format, SMALL, SMALL),
    st.builds("\\frac{}{}".format, DIGIT, DIGIT),
    st.builds("{}\\sqrt{{{}}}".format, DIGIT, SMALL),
    st.builds("{}\\pi".format, DIGIT),
    st.builds("\\frac{{{}\\pi}}{{{}}}".format, DIGIT, DIGIT),
    st.builds("{}^{{{}}}".format, DIGIT, st.integers(-4, 5)),
    st.builds("-{}".format, SMALL),
)
FORMULAS = st.recursive(ATOMS, _combine, max_leaves=4)


def evaluate_by_math_verify(text: str) -> complex | None:
    """The number that math-verify reads from a formula; None where that is none."""
    read = parse(f"${text}$", parsing_timeout=None)
    if not read or not getattr(read[0], "is_number", False):
        return None
    return complex(read[0].evalf(30))


@given(FORMULAS)
@settings(deadline=None, max_examples=60)
def test_a_formula_has_math_verifys_value(text: str) -> None:
    ours = evaluate_formula(text)
    assume(isinstance(ours, complex))  # what has no value here is another test's matter
    assert isinstance(ours, complex)
    theirs = evaluate_by_math_verify(text)
    assume(theirs is not None and cmath.isfinite(theirs))
    # Odd roots of negative numbers are real here, as schools have them, and complex to sympy.
    assume("\\sqrt[3]" not in text or ours.imag == theirs.imag == 0)
    assert cmath.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9), (ours, theirs)


@given(
    ATOMS,
    ATOMS,
    st.sampled_from(["{} + ({})", "({}) \\cdot ({})", "\\frac{{{}}}{{{}}}", "({}, {})", "{} = {}"]),
)
@settings(deadline=None)
def test_a_formula_of_two_parts_has_a_value(one: str, other: str, joint: str) -> None:
    text = joint.format(one, other)
    assert evaluate_formula(text) is not None
    assert is_same_value(text, text.replace("\\frac", "\\dfrac"))


@given(st.integers(1, 40), st.integers(1, 11), st.integers(2, 12), st.booleans())
def test_mixed_numbers(whole: int, top: int, bottom: int, negative: bool) -> None:
    assume(top < bottom)
    sign = "-" if negative else ""
    value = (-1 if negative else 1) * (whole + top / bottom)
    for text in (f"{sign}{whole}\\frac{{{top}}}{{{bottom}}}", f"{sign}{whole} {top}/{bottom}"):
        found = evaluate_formula(text)
        assert isinstance(found, complex)
        assert found.real == pytest.approx(value), text


@given(
    FORMULAS, st.sampled_from(["{}", "${}$", "\\left({}\\right)", "{} ", "{}^\\circ", "{}\\%", "\\({}\\)"])
)
@settings(deadline=None, max_examples=100)
def test_dress_changes_no_value(text: str, dress: str) -> None:
    dressed = dress.format(text)
    assume(len(dressed) <= LONGEST and evaluate_formula(text) is not None)
    assert is_same_value(text, dressed)
    value = evaluate_formula(text)
    if (
        isinstance(value, complex) and abs(value) < 1e6
    ):  # above, one more is a difference that floats hardly tell
        assert not is_same_value(text, f"{text}+1")


def test_real_gold_answers_have_math_verifys_values() -> None:
    """Every third answer of MATH-500 that is a number to both."""
    compared, differing = 0, []
    for record in read_records("data/mirror/HuggingFaceH4/MATH-500/test.jsonl")[::3]:
        ours = evaluate_formula(record["answer"])
        theirs = evaluate_by_math_verify(record["answer"]) if isinstance(ours, complex) else None
        if ours is None or theirs is None or not isinstance(ours, complex):
            continue
        compared += 1
        # math-verify reads per cent as hundredths; here the sign is dropped.
        theirs = theirs * 100 if record["answer"].endswith("\\%") else theirs
        if not cmath.isclose(ours, theirs, rel_tol=1e-9):
            differing.append((record["answer"], ours, theirs))
    assert compared > 90
    assert not differing


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x^2+2x+1", "(x+1)^2", True),
        ("x^2+2x+1", "x^2+2x+2", False),
        ("(1, 2)", "(1,2)", True),
        ("(1, 2)", "(2, 1)", False),
        ("(1, 2)", "[1, 2]", False),
        ("\\{1, 2\\}", "\\{2, 1\\}", True),
        ("x^2+y^2=49", "49=x^2+y^2", True),
        ("x=3", "3", False),
        ("½", "0.5", True),
        ("2²", "4", True),
        ("3√2", "\\sqrt{18}", True),
        ("1,234", "1234", True),
        ("1{,}234", "1234", True),
        ("0.\\overline{3}", "1/3", True),
        ("\\sqrt[3]{-8}", "-2", True),
        ("\\log_2 8", "3", True),
        ("\\sin^2(1)+\\cos^2(1)", "1", True),
        ("2\\frac{a}{b}", "2a/b", True),
        ("", "", False),
        ("post", "stop", False),
        ("1/0", "1/0", False),
        ("9^{9^{9^9}}", "9^{9^{9^9}}", False),
    ],
)
def test_same_values(one: str, other: str, same: bool) -> None:
    assert is_same_value(one, other) is same
    assert is_same_value(other, one) is same


PIECES = st.sampled_from(
    [
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "^",
        "_",
        "\\frac",
        "\\sqrt",
        "\\log",
        "\\pi",
        "\\sin",
        "\\overline{3}",
        "1",
        "23",
        ".5",
        "x",
        "+",
        "-",
        "*",
        "/",
        "=",
        ",",
        " ",
        "%",
        "^\\circ",
        "\\{",
        "\\}",
        "½",
        "√",
        "²",
        "\\left",
        "\\",
    ]
)


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join)))
@settings(deadline=None, max_examples=400)
def test_no_text_raises(text: str) -> None:
    value = evaluate_formula(text)
    assert value is None or evaluate_formula(text) == value or value != value
    rewrite_plain(text)


@pytest.mark.parametrize(
    "unit", ["(", "{", "[", "\\frac", "\\frac{", "\\sqrt", "\\sqrt{", "9^", "9^{", "-", "\\log_", "x_", "(1,"]
)
@pytest.mark.parametrize("times", [5, 25, 119, 5000])
def test_no_depth_raises(unit: str, times: int) -> None:
    for text in (unit * times, unit * times + "1", unit * times + "1" + "})]"[unit.count("(")] * times):
        evaluate_formula(text)
