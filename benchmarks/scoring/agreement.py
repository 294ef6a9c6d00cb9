"""Measure how far two judges agree on the same answers: observed agreement and Cohen's kappa, with n."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from statsmodels.stats.inter_rater import cohens_kappa

COLUMNS = ("benchmark", "n", "both_right", "rule_only", "judge_only", "both_wrong", "agreement", "kappa",
           "kappa_low", "kappa_high")  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same `n` answers: counts, the share judged alike, Cohen's kappa with 95 % interval.

    kappa is nan where it says nothing: for no answers, and when a judge calls everything right or
    everything wrong and so does the other (agreement by chance is then 1).
    """

    both_right: int
    rule_only: int
    judge_only: int
    both_wrong: int

    @property
    def n(self) -> int:
        """Count the answers judged by both."""
        return self.both_right + self.rule_only + self.judge_only + self.both_wrong

    @property
    def agreement(self) -> float:
        """Compute the share of answers judged alike."""
        return (self.both_right + self.both_wrong) / self.n if self.n else math.nan

    @property
    def kappa(self) -> tuple[float, float, float]:
        """Compute Cohen's kappa (1960) and its interval by the large-sample standard error."""
        if self.n in (0, self.both_right, self.both_wrong):
            return (math.nan,) * 3
        table = [[self.both_right, self.rule_only], [self.judge_only, self.both_wrong]]
        with np.errstate(invalid="ignore"):  # no interval where the judges agree perfectly
            result = cohens_kappa(table)
        return float(result.kappa), float(result.kappa_low), float(result.kappa_upp)


def agreement(rule: ArrayLike, judge: ArrayLike) -> Agreement:
    """Compare two judges' scores, in the same order; a score of at least one half counts as right.

    Answers that the judge model did not judge (nan) are left out.
    """
    pair = pd.DataFrame({"rule": rule, "judge": judge}).dropna()
    rule_right, judge_right = pair["rule"] >= 0.5, pair["judge"] >= 0.5
    return Agreement(
        both_right=int((rule_right & judge_right).sum()),
        rule_only=int((rule_right & ~judge_right).sum()),
        judge_only=int((~rule_right & judge_right).sum()),
        both_wrong=int((~rule_right & ~judge_right).sum()),
    )


def by_benchmark(scores: pd.DataFrame) -> pd.DataFrame:
    """Compare rule and judge model per benchmark (rows of COLUMNS), from `correct` and `correct_judge`.

    Benchmarks without a judged answer are left out; so is everything when there is no judge model.
    """
    rows = []
    if "correct_judge" in scores:
        for name, group in scores.groupby("benchmark", sort=False):
            result = agreement(group["correct"], group["correct_judge"])
            if result.n:
                rows.append((name, result.n, result.both_right, result.rule_only, result.judge_only,
                             result.both_wrong, result.agreement, *result.kappa))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
