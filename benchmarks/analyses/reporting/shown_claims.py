"""Test what FRISM (arXiv 2601.21187) shows of merged models by example: better focus, and reflection.

Numbers and bounds are of this project, as the paper's are not known; the rule is that of the other claims.
"""

from collections.abc import Iterator

import pandas as pd

from benchmarks.analyses.reporting.claims import FOCUS, REFLECTED, SHARE, Claim, judge
from benchmarks.analyses.reporting.resampling import estimate
from benchmarks.analyses.reporting.traces import QUESTION, SAME, pair_with_vlm
from benchmarks.study.config import StudyConfig

VALUE = "value"


def list_shown_claims(
    study: StudyConfig, attention: pd.DataFrame, counts: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield a row per claim, entry and variant, from traces of attention and counts in answers.

    Over the reasoning questions that V was asked, too, in the same entry.
    """
    answers = attention[attention["tokens"].str.startswith("answer")] if len(attention) else attention
    keys = [*QUESTION, "entry"]
    # Quarters weigh the same, however many an answer is long enough for, and so do layers.
    focus = answers.groupby(keys, sort=False, as_index=False)[["picture", "relative"]].mean()
    for claim, measure in ((FOCUS, "picture"), (SHARE, "relative")):
        yield from _test(study, claim, focus[keys].assign(**{VALUE: focus[measure]}), "attention")
    reflected = counts["reflections"] + counts["corrections"]
    yield from _test(study, REFLECTED, counts[keys].assign(**{VALUE: reflected}), "answers")


def _test(study: StudyConfig, claim: Claim, rows: pd.DataFrame, action: str) -> Iterator[dict[str, object]]:
    paired = pair_with_vlm(study, rows[rows["axis"] == "reasoning"], VALUE, SAME).dropna(subset="difference")
    for (entry, variant), own in paired.groupby(["entry", "variant"], sort=False):
        found = estimate(study, own, ["difference"])
        low, high = found["difference_low"], found["difference_high"]
        yield {
            "claim": claim.name, "entry": entry, "variant": variant, "action": action, "module": "all",
            "estimate": found["difference"], "low": low, "high": high, "bound": claim.bound,
            "verdict": judge(low, high, claim.bound),
        }  # fmt: skip
