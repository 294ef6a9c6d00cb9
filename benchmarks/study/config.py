"""Describe a study: its triple, variants, benchmarks and statistics."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmarks.study import options
from benchmarks.study.explain_settings import ExplainSettings
from frism.errors import UserError

PARENTS = ("base", "lrm")  # the triple's language models: they have text scores and nothing else


class Variant(BaseModel):
    """One line of `variants`: its method, and whether it is swept (grid) or a control (reference)."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    method: str
    params: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    reference: str | None = None


class SelectionSettings(BaseModel):
    """Perception that may be lost: by the choice on dev, and (margin) by the test on the test split."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    perception_budget: float = Field(default=0.02, ge=0, le=1)
    margin: float | None = Field(default=None, ge=0, lt=1)
    oracle: bool = False  # whether every grid point was answered on test, too

    @property
    def tolerated(self) -> float:
        """Margin of the non-inferiority test: the budget unless the config says otherwise."""
        return self.perception_budget if self.margin is None else self.margin


class StatisticsSettings(BaseModel):
    """How the statistics are made: confidence level of intervals and tests, bootstrap resamples."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=2000, ge=100)


class Study(BaseModel):
    """The slice of the config that tables, figures and the summary need; other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    study: str = "study"
    seed: int = 0
    benchmarks: list[str]
    text: list[str] = []
    variants: dict[str, Variant]
    selection: SelectionSettings = SelectionSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    explain: ExplainSettings = ExplainSettings()
    calibration: dict[str, Any] = {}
    published: str | None = None  # a file of results/reference/papers
    triple: dict[str, Any] = {}

    @field_validator("benchmarks", "text", mode="before")
    @classmethod
    def _names(cls, entries: Any) -> Any:
        """A benchmark with changed settings is a mapping in the config; here its name is enough."""
        return (
            [e.get("name", e) if isinstance(e, dict) else e for e in entries]
            if isinstance(entries, list)
            else entries
        )

    @classmethod
    def parse(cls, config: str) -> "Study":
        """Read the JSON of the command line. Raises UserError in one sentence."""
        study = options.parse(cls, config, "--config is not a study's settings")
        study._find_reference()
        return study

    @property
    def reference(self) -> str:
        """Name of the variant that everything is compared with: the first whose method is `vlm`."""
        return self._find_reference()

    def _find_reference(self) -> str:
        for name, variant in self.variants.items():
            if variant.method == "vlm":
                return name
        raise UserError(
            "the study has no variant with `method: vlm` to compare with: add `vlm: {method: vlm}`."
        )

    @property
    def learned(self) -> list[str]:
        """The variants that others name as their reference: those with controls."""
        named = {v.reference for v in self.variants.values()}
        return [name for name in self.variants if name in named]

    def role(self, name: str) -> str:
        """`reference`, `learned` (has controls), `control`, or `baseline`."""
        if name == self.reference:
            return "reference"
        if self.variants[name].reference is not None:
            return "control"
        return "learned" if name in self.learned else "baseline"
