"""Equal answers: as texts, numbers and formulas, apart from labels and units; different ones never."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scoring.equality import answers_agree
from benchmarks.scoring.extraction import extract
from tests.support.shared_data import read_records

GOLDS = "data/mathverse/testmini_text_only.json"
# The test's own idea of what stands around the value of a MathVerse gold: a label before it, a unit behind.
_LABEL = re.compile(r"^\s*(?:\\mathrm\{SA\}|[A-Za-z][A-Za-z. ]*)=")
_LATEX_UNIT = re.compile(r"\s*\\(?:mathrm|text)\s*\{[~ ]*(?:cm|mm|m|g|kg|units)\s*\}\s*(?:\^\{?[23]\}?)?\s*$")
_UNIT = re.compile(
    r"\s*(?:cubic |square )?(?:units?|metres|[Ll]itres|km / h|km|cm\^[23]|m)\s*(?:\^\s*\{?[23]\}?)?\s*$"
)


def _strip_dress(gold: str) -> str:
    value = _LABEL.sub("", gold.replace("$", "").strip())
    return _UNIT.sub("", _LATEX_UNIT.sub("", value)).strip()


def _list_golds() -> list[str]:
    return [str(r["answer"]) for r in read_records(GOLDS) if r["question_type"] != "multi-choice"]


def test_real_golds_agree_with_themselves_in_every_dress() -> None:
    golds = _list_golds()
    assert len(golds) == 352
    ways = {
        "itself": lambda gold: gold,
        "boxed": lambda gold: extract(f"So \\boxed{{{gold}}}", "math")[0] or "",
        "value alone": _strip_dress,
    }
    for way, write in ways.items():
        lost = [(gold, write(gold)) for gold in golds if not answers_agree(write(gold), gold)]
        assert len(golds) - len(lost) >= 345, (way, lost)


def test_real_golds_do_not_agree_with_their_neighbours() -> None:
    golds = sorted({gold for gold in _list_golds() if len(gold) <= 25})[::5]
    values = {gold: re.sub(r"[^\w.]", "", _strip_dress(gold)).lower() for gold in golds}
    agreeing = [
        (one, other)
        for one, other in itertools.pairwise(golds)
        if answers_agree(one, other) and values[one] != values[other]
    ]
    assert not agreeing


@given(st.text(max_size=60), st.text(max_size=60))
@settings(deadline=None)
def test_agreement_is_of_texts_with_themselves(one: str, other: str) -> None:
    assert not answers_agree("", one)
    if re.search(r"\w", one):
        assert answers_agree(one, one)
    if (
        one.isalpha()
        and other.isalpha()
        and one.isascii()
        and other.isascii()
        and one.lower() != other.lower()
    ):
        assert sorted(one) == sorted(other) or not answers_agree(one, other)


@given(
    st.decimals(-999, 999, places=2), st.sampled_from(["{}", "${}$", "x = {}", "{} cm", "Area $={}$", "{}°"])
)
@settings(deadline=None, max_examples=15)
def test_numbers_agree_by_value(number: object, dress: str) -> None:
    assert answers_agree(str(number), dress.format(number))
    assert answers_agree(dress.format(number), f"{number}0")
    assert not answers_agree(dress.format(number), f"{number}1")


@pytest.mark.parametrize(
    ("answer", "truth", "agree"),
    [
        ("2", "2√{3}", False),
        ("4\\sqrt{3}", "4√{3}", True),
        ("98.6", "Volume $=98.6 \\mathrm{~cm}^{3}$", True),
        ("98.5", "Volume $=98.6 \\mathrm{~cm}^{3}$", False),
        ("x^2+y^2=25", "$x^{2}+y^{2}=25$", True),
        ("25=x^2+y^2", "x^2+y^2=25", True),
        ("x^2+y^2=5", "x^2+y^2=25", False),
        ("Odd", "odd", True),
        ("9π", "9πcm^{2}", True),
        ("S 23.5° W", "S 23.5 ^\\circ W", True),
        ("D", "A", False),
        ("a", "A", True),
        ("A", "x = A", True),
        ("10", "$10km / h$", True),
        ("(2,1)", "(1,2)", False),
        ("3", "2", False),
        ("5 m", "5", True),
        ("13", "$13 \\%$", True),
        ("y=x+5", "y=x-5", False),
        ("\\frac{1}{3}", "0.333", False),
        ("-\\frac{3}{4}", "\\frac{3}{4}", False),
        ("(x+1)^2", "x^2+2x+1", True),
        ("9^{9^{9^{9}}}", "9^{9^{9^{9}}}+1", False),
        ("10!!!!", "3", False),
        ("post", "stop", False),
    ],
)  # fmt: skip
def test_pairs(answer: str, truth: str, agree: bool) -> None:
    assert answers_agree(answer, truth) is agree
