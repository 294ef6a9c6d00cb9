"""Test what Bring Reason to Vision (arXiv 2505.05464) claims of layers: confirmed, refuted or undecided.

Each claim is a number with a percentile interval over a bootstrap of questions, and a bound: confirmed if the
whole interval lies above it, refuted if the whole lies below, undecided otherwise. No verdict is adjusted for
the number of verdicts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.analyses.reporting.answers import AXES, Answers
from benchmarks.analyses.reporting.depth import (
    Profile,
    estimate_interval,
    find_centre,
    make_profiles,
    measure_entropy,
    measure_gini,
)
from benchmarks.statistics.intervals import Floats
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from frism.errors import UserError

COLUMNS = (
    *make_columns("name", "claim", "entry", "variant", "action", "module"),
    *make_estimate("estimate", "low", "high"),
    *make_columns("two_decimals", "bound"),
    *make_columns("name", "verdict"),
)
CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"
KNOCK_OUT = "knock_out"  # the analysis of full weights
ALIKE = 0.5  # correlation of two profiles above which they count as the same


@dataclass(frozen=True)
class Claim:
    """Names a claim, says in words what its number is, and holds its bound."""

    name: str
    number: str
    bound: float = 0.0


ORDER = Claim(
    "perception early, reasoning late",
    "centre of the reasoning loss minus that of the perception loss, in shares of the depth",
)
SPREAD = Claim(
    "after merging all layers contribute to reasoning (entropy)",
    "entropy of the reasoning loss over layers, of the merge minus V",
)
EVEN = Claim(
    "after merging all layers contribute to reasoning (Gini)",
    "Gini's coefficient of the reasoning loss over layers, of V minus the merge",
)
KEPT = Claim(
    "after merging the layers of perception stay",
    "correlation of the perception losses over layers, of the merge and V",
    ALIKE,
)
FOCUS = Claim(
    "after merging more is looked at the picture",
    "attention on the picture along reasoning answers, mean over layers, of the merge minus V",
)
SHARE = Claim(
    "after merging more is looked at the picture than the length of what was said explains",
    "the same attention over the picture's share of the tokens in sight, of the merge minus V",
)
REFLECTED = Claim(
    "after merging answers reflect more",
    "words of reflection and corrections per reasoning answer, of the merge minus V",
)
CLAIMS = (ORDER, SPREAD, EVEN, KEPT, FOCUS, SHARE, REFLECTED)


def build_claim_rows(
    study: StudyConfig, answers: Sequence[Answers], further: Iterable[Mapping[str, object]] = ()
) -> pd.DataFrame:
    """Test every claim by each knock-out of full weights: a row per claim, variant, action and module.

    Claims on merges are tested where V was knocked out in the same entry. Raises UserError where V and a
    merge answered other questions.

    Args:
        further: rows of claims that were tested otherwise.
    """
    published = [one for one in answers if (study.analyses[one.entry].analysis or one.entry) == KNOCK_OUT]
    rows = [row for one in published for row in _list_rows(study, one, published)]
    frame = pd.DataFrame([*rows, *further], columns=list_names(COLUMNS))
    order = {claim.name: place for place, claim in enumerate(CLAIMS)}
    return frame.sort_values("claim", key=lambda names: names.map(order), kind="stable").reset_index(
        drop=True
    )


def _list_rows(study: StudyConfig, one: Answers, others: Sequence[Answers]) -> Iterator[dict[str, object]]:
    unmodified = next((o for o in others if o.entry == one.entry and o.variant == study.reference), None)
    for action, module, places in one.list_profiles():
        for claim, (value, drawn) in _test(study, one, unmodified, action, module, places):
            low, high = estimate_interval(drawn, study.statistics.confidence)
            yield {
                "claim": claim.name, "entry": one.entry, "variant": one.variant, "action": action,
                "module": module, "estimate": value, "low": low, "high": high, "bound": claim.bound,
                "verdict": judge(low, high, claim.bound),
            }  # fmt: skip


def _test(
    study: StudyConfig, one: Answers, vlm: Answers | None, action: str, module: str, places: list[int]
) -> Iterator[tuple[Claim, tuple[float, Floats]]]:
    """Yield the claims that these knock-outs speak of, each with its number, observed and resampled."""
    key = f"{one.entry} {action} {module}"
    if set(AXES) <= one.axes.keys():
        # Other questions on each axis: two bootstraps, independent of each other.
        early, late = (
            make_profiles(study, [(one, axis, places)], f"{key} {axis}")[0]
            for axis in ("perception", "reasoning")
        )
        yield ORDER, _subtract(late.measure(find_centre), early.measure(find_centre))
    if vlm is None or one is vlm:
        return
    own = next((found for a, m, found in vlm.list_profiles() if (a, m) == (action, module)), None)
    if own is None:
        return
    for axis in [axis for axis in AXES if axis in one.axes]:
        _check_same(one, vlm, axis)
        merged, plain = make_profiles(study, [(one, axis, places), (vlm, axis, own)], f"{key} {axis} pair")
        if axis == "reasoning":
            yield SPREAD, _subtract(merged.measure(measure_entropy), plain.measure(measure_entropy))
            yield EVEN, _subtract(plain.measure(measure_gini), merged.measure(measure_gini))
        else:
            yield KEPT, (correlate(merged, plain, "observed")[0], correlate(merged, plain, "drawn"))


def _subtract(one: tuple[float, Floats], other: tuple[float, Floats]) -> tuple[float, Floats]:
    return one[0] - other[0], one[1] - other[1]


def correlate(one: Profile, other: Profile, which: str) -> Floats:
    """Correlate two profiles (Pearson), as observed or in every resample; nan where one is flat."""
    a, b = (getattr(profile, which) for profile in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.asarray(np.divide((a * b).sum(1), size, out=np.full(len(size), np.nan), where=size > 1e-12))


def judge(low: float, high: float, bound: float = 0.0) -> str:
    """Say what an interval says of a bound; without an interval nothing is decided."""
    if low > bound:
        return CONFIRMED
    return REFUTED if high < bound else UNDECIDED


def _check_same(one: Answers, other: Answers, axis: str) -> None:
    if [s.questions for s in one.axes[axis]] != [s.questions for s in other.axes[axis]]:
        raise UserError(
            f"analyses/{one.entry}: {one.variant} and {other.variant} answered other questions on the axis"
            f" {axis}: delete both files and run snakemake again."
        )
