"""Say what of a study a fit and the choice of its coefficients depend on."""

import json
from collections.abc import Collection

from pydantic import field_validator

from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.entry import Entry
from benchmarks.study.section import Slice
from benchmarks.study.selection_settings import DevRule
from benchmarks.study.spectrum_settings import StudySpectrum
from benchmarks.study.triple_settings import TripleSettings
from benchmarks.study.variant_config import VariantConfig


class TuneSlice(Slice):
    """Holds what the stage `tune` reads."""

    seed: int
    scope: str
    triple: TripleSettings
    engine: EngineSettings
    spectrum: StudySpectrum
    calibration: CalibrationSettings | None
    benchmarks: tuple[Entry, ...]
    selection: DevRule
    variants: dict[str, VariantConfig]

    @field_validator("engine")
    @classmethod
    def _answer_as_on_dev(cls, engine: EngineSettings) -> EngineSettings:
        return engine.on_dev

    @property
    def unmodified(self) -> str:
        """Return the variant whose perception sets the budget: the first whose method is `vlm`."""
        return next(name for name, variant in self.variants.items() if variant.method == "vlm")

    def describe_fit(self, variant: str, needs: Collection[str]) -> str:
        """Return as JSON what one variant's job depends on.

        Of the spectrum and the calibration these are none for a method that works without; of the spectrum
        the number of jobs never counts, and of the benchmarks only those on dev, which the caller adds.
        """
        unused = {"benchmarks", "variants"} | ({"spectrum", "calibration"} - set(needs))
        content = self.model_dump(mode="json", exclude=unused)
        content["variant"] = self.variants[variant].model_dump(mode="json")
        if "spectrum" in content:
            del content["spectrum"]["parts"]
        return json.dumps(content)
