"""Say what tables and figures ask of what they compare: a study is one, runs made elsewhere are another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.study.report_settings import ExplainSettings, StatisticsSettings
from benchmarks.study.selection_settings import SelectionSettings


class Compared(Protocol):
    """Runs on the same questions, one of which is the reference; `StudyConfig` and `Runs` are such."""

    @property
    def variants(self) -> Mapping[str, Any]: ...
    @property
    def reference(self) -> str: ...
    @property
    def benchmark_names(self) -> Sequence[str]: ...
    @property
    def seed(self) -> int: ...
    @property
    def statistics(self) -> StatisticsSettings: ...
    @property
    def selection(self) -> SelectionSettings: ...
    @property
    def explain(self) -> ExplainSettings: ...
    def role(self, name: str) -> str: ...


@dataclass(frozen=True)
class Runs:
    """Names runs that stand side by side without a study: labels in the order of the tables, benchmarks.

    Attributes:
        reference: the run that all others are compared with.
        variants: the labels, as the keys that a study's variants are.
    """

    labels: tuple[str, ...]
    reference: str
    benchmark_names: tuple[str, ...]
    seed: int = 0
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)

    @property
    def variants(self) -> Mapping[str, None]:
        """Return the labels as keys."""
        return dict.fromkeys(self.labels)

    def role(self, name: str) -> str:
        """Return the role of a run in figures: the reference, or one of the others."""
        return "reference" if name == self.reference else "baseline"
