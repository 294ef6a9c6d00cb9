"""Say how a study decomposes the reasoning task vector: the `spectrum` part of its config."""

from typing import Literal

from pydantic import Field

from frism.spectra.settings import SpectrumSettings


class StudySpectrum(SpectrumSettings):
    """Holds the spectrum's own settings, and how a study's jobs share the work."""

    parts: int = Field(1, ge=1, description="jobs that share the decomposition, whatever the number of cores")
    factors: Literal["auto", "resident", "streamed"] = Field(
        "auto",
        description="where the directions lie while gates are learned: resident on the GPU, streamed to it"
        " layer by layer; auto: resident where they fit",
    )

    @property
    def settings(self) -> SpectrumSettings:
        """Return what a recipe records: rank, solver and dtype."""
        return SpectrumSettings.model_validate(self.model_dump(exclude={"parts", "factors"}))
