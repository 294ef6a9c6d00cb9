"""Say what of a study an analysis of its variants depends on."""

import json

from pydantic import Field, field_validator

from benchmarks.study.analysis_settings import AnalysisSettings
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.entry import Entry
from benchmarks.study.section import Slice
from benchmarks.study.triple_settings import TripleSettings
from benchmarks.study.variant_config import VariantConfig


class AnalyseSlice(Slice):
    """Holds what the stage `analyse` reads."""

    seed: int
    triple: TripleSettings
    engine: EngineSettings
    calibration: CalibrationSettings | None
    benchmarks: tuple[Entry, ...]
    variants: dict[str, VariantConfig]
    analyses: dict[str, AnalysisSettings] = Field(default_factory=dict)

    @field_validator("engine")
    @classmethod
    def _answer_once(cls, engine: EngineSettings) -> EngineSettings:
        return engine.model_copy(update={"sampling": None})

    @property
    def unmodified(self) -> str:
        """Return the variant that is V: the first whose method is `vlm`."""
        return next(name for name, variant in self.variants.items() if variant.method == "vlm")

    def describe(self, entry: str, calibrated: bool) -> str:
        """Return as JSON what a job of one entry depends on, beside the variant's recipe.

        Args:
            calibrated: whether the analysis asks calibration questions.
        """
        content = self.model_dump(mode="json", exclude={"variants", "analyses", "calibration"})
        settings = self.analyses[entry].model_dump(mode="json", exclude={"variants"})
        calibration = self.calibration.model_dump(mode="json") if calibrated and self.calibration else None
        return json.dumps({**content, "analysis": settings, "calibration": calibration})
