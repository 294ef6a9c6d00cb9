"""Read verdicts off tests: gain, loss or not shown; perception kept, or not shown to be."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import interval, probability


@dataclass(frozen=True)
class Finding:
    """One tested difference of a variant to another in a group, and the verdict on it."""

    variant: str
    against: str
    group: str
    n: int
    difference: float
    low: float
    high: float
    p_holm: float
    detectable: float
    alpha: float

    @property
    def verdict(self) -> str:
        """Say `gain`, `loss` or `not shown`."""
        if self.p_holm < self.alpha and self.low > 0:
            return "gain"
        if self.p_holm < self.alpha and self.high < 0:
            return "loss"
        return "not shown"

    @property
    def number(self) -> str:
        """Format `+0.120 [+0.080, +0.160]`."""
        return interval(self.difference, self.low, self.high, signed=True)

    @property
    def words(self) -> str:
        """Format the difference with its interval, n and p."""
        p = probability(self.p_holm)
        return f"{self.number} (n = {self.n}, Holm p {p if p.startswith('<') else '= ' + p})"


@dataclass(frozen=True)
class Budget:
    """The non-inferiority test of a variant's perception."""

    loss: float
    limit: float
    p: float
    p_holm: float
    alpha: float

    @property
    def verdict(self) -> str:
        """Say `kept`, `before Holm` (kept if it were the only variant), or `not shown`."""
        return "kept" if self.p_holm < self.alpha else "before Holm" if self.p < self.alpha else "not shown"

    @property
    def words(self) -> str:
        """Format the limit of the loss and p."""
        p = probability(self.p_holm)
        return f"at most {self.limit:.3f} lost, Holm p {p if p.startswith('<') else '= ' + p}"


@dataclass(frozen=True)
class Duel:
    """A learned variant against one opponent, a finding per group."""

    against: str
    kind: str
    findings: dict[str, Finding]

    def groups(self, verdict: str) -> list[str]:
        """List the groups with this verdict."""
        return [g for g, f in self.findings.items() if f.verdict == verdict]


def finding(study: StudyConfig, row: dict[Any, Any], against: str) -> Finding:
    """Read the finding off one row of the tables axes or contrasts."""
    return Finding(
        variant=row["variant"],
        against=against,
        group=row["group"],
        n=int(row["n"]),
        difference=row["difference"],
        low=row["difference_low"],
        high=row["difference_high"],
        p_holm=row["p_holm"],
        detectable=row["detectable"],
        alpha=1 - study.statistics.confidence,
    )


def duels_of(study: StudyConfig, contrasts: pd.DataFrame) -> dict[str, list[Duel]]:
    """List every learned variant's duels, in the order of the table contrasts."""
    duels: dict[str, dict[str, Duel]] = {v: {} for v in study.learned}
    for row in contrasts.to_dict("records"):
        duel = duels[row["variant"]].setdefault(row["against"], Duel(row["against"], row["kind"], {}))
        duel.findings[row["group"]] = finding(study, row, row["against"])
    return {variant: list(by_opponent.values()) for variant, by_opponent in duels.items()}


def budgets_of(study: StudyConfig, pareto: pd.DataFrame) -> dict[str, Budget]:
    """Read the test of every variant's perception; empty without both axes."""
    alpha = 1 - study.statistics.confidence
    tested = pareto[pareto["p"].notna()]
    return {
        str(v): Budget(row["loss"], row["loss_limit"], row["p"], row["p_holm"], alpha)
        for v, row in tested.iterrows()
    }
