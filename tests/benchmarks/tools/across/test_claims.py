"""The claims are those of the page, name what the population has, and are judged as said."""

import math
import re
from pathlib import Path

import pytest

from benchmarks.analyses.reporting.claims import CLAIMS as LAYER_CLAIMS
from benchmarks.tools.across.claims import FAILS, FILE, HOLDS, UNDECIDED, judge, read_claims
from frism.errors import UserError

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/claims.md").read_text()


def test_the_page_lists_the_claims_that_the_code_reads() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \| (-?[\d.]+) \|$", PAGE, re.MULTILINE)
    read = [(c.name, c.paper, c.above) for c in read_claims().claims]
    assert [(name, paper, float(bound)) for name, paper, bound in rows] == read
    assert f"With {len(read)} claims" in PAGE


def test_the_page_says_what_is_measured() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .+ \| ([^|]+) \| -?[\d.]+ \|$", PAGE, re.MULTILINE))
    for claim in read_claims().claims:
        measure, words = claim.measure, rows[claim.name]
        assert f"`{measure.variant}`" in words
        if measure.kind != "layers":
            assert measure.group in words and (measure.against is None or f"`{measure.against}`" in words)
        if measure.kind == "price":
            assert words.endswith(f"at {measure.share}")
        if measure.kind == "layers":
            assert measure.claim in {c.name for c in LAYER_CLAIMS}
            assert claim.above == next(c.bound for c in LAYER_CLAIMS if c.name == measure.claim)


def test_the_rule_on_the_page_is_the_rule() -> None:
    rule = read_claims()
    assert f"the whole {rule.confidence:.0%} interval".replace("95%", "95 %") in PAGE
    assert f"fewer than {rule.least_bases} bases" in PAGE


@pytest.mark.parametrize(
    ("low", "high", "bound", "bases", "verdict"),
    [
        (0.01, 0.2, 0.0, 3, HOLDS),
        (-0.019, 0.01, -0.02, 3, HOLDS),
        (-0.2, -0.021, -0.02, 3, FAILS),
        (-0.1, 0.1, 0.0, 3, UNDECIDED),
        (0.0, 0.1, 0.0, 3, UNDECIDED),  # on the bound is not above it
        (0.01, 0.2, 0.0, 2, UNDECIDED),
        (math.nan, math.nan, 0.0, 3, UNDECIDED),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, bound, bases, verdict) -> None:
    assert judge(low, high, bound, bases, 3) == verdict


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("above: 0.02", "abov: 0.02", "unknown key 'abov'"),
        ("kind: price, variant: inject, group: perception, share: 0.9", "kind: prize", "prize"),
        ("name: frism_reasons\n", "name: frism_sees\n", "frism_sees is there twice"),
    ],
)
def test_a_broken_file_is_named_in_one_sentence(tmp_path, old, new, complaint) -> None:
    text = FILE.read_text()
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=complaint):
        read_claims(path)
