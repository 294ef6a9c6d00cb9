"""How far two judges agree on the same answers: observed agreement and Cohen's kappa, with n."""

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
        """Answers judged by both."""
        return self.both_right + self.rule_only + self.judge_only + self.both_wrong

    @property
    def agreement(self) -> float:
        """Share of answers judged alike."""
        return (self.both_right + self.both_wrong) / self.n if self.n else math.nan

    @property
    def kappa(self) -> tuple[float, float, float]:
        """Cohen's kappa (1960) and its interval by the large-sample standard error, from statsmodels."""
        table = [[self.both_right, self.rule_only], [self.judge_only, self.both_wrong]]
        if 1 in (self._shares(0), self._shares(1)) or not self.n:
            return (math.nan,) * 3
        with np.errstate(invalid="ignore"):  # no interval where the judges agree perfectly
            found = cohens_kappa(table)
        return float(found.kappa), float(found.kappa_low), float(found.kappa_upp)

    def _shares(self, wrong: int) -> float:
        """1 when both judges put every answer into one class: right (0) or wrong (1)."""
        return (self.both_wrong if wrong else self.both_right) / self.n if self.n else math.nan


def agreement(rule: ArrayLike, judge: ArrayLike) -> Agreement:
    """Compare two judges' scores, in the same order; a score of at least one half counts as right.

    Answers that the judge model did not judge (nan) are left out.
    """
    pair = pd.DataFrame({"rule": rule, "judge": judge}).dropna()
    right, told = pair["rule"] >= 0.5, pair["judge"] >= 0.5
    return Agreement(
        int((right & told).sum()), int((right & ~told).sum()),
        int((~right & told).sum()), int((~right & ~told).sum()),
    )  # fmt: skip


def by_benchmark(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per benchmark (COLUMNS) of scores with the columns `correct` and `correct_judge`.

    Benchmarks without a judged answer are left out; so is everything when there is no judge model.
    """
    rows = []
    if "correct_judge" in scores:
        for name, group in scores.groupby("benchmark", sort=False):
            found = agreement(group["correct"], group["correct_judge"])
            if found.n:
                rows.append((name, found.n, found.both_right, found.rule_only, found.judge_only,
                             found.both_wrong, found.agreement, *found.kappa))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
