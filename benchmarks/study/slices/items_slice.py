"""Say what of a study its questions depend on, and which variants are asked in a way of their own."""

from typing import Self

from benchmarks.study.engine_settings import FailurePolicy
from benchmarks.study.entry import Entry
from benchmarks.study.question_settings import DataSettings, Number, PromptingSettings, VariantPrompting
from benchmarks.study.section import Slice


class PromptedCheckpoint(Slice):
    """Holds the checkpoint whose family writes the prompts."""

    vlm: str


class Splits(Slice):
    """Holds the numbers of questions per benchmark and split."""

    dev: int
    test: Number


class ToleratedPictures(Slice):
    """Holds whether a picture that cannot be decoded ends the study, or its question counts as unanswered."""

    failures: FailurePolicy = "fail"


class ItemsSlice(Slice):
    """Holds what the stage `items` reads."""

    seed: int
    triple: PromptedCheckpoint
    benchmarks: tuple[Entry, ...]
    questions: Splits
    data: DataSettings
    engine: ToleratedPictures = ToleratedPictures()
    prompting: PromptingSettings
    variants: dict[str, VariantPrompting]

    def of_variant(self, variant: str | None) -> Self:
        """Return the slice for one variant's own items, or (None) for those that all others share."""
        overrides = self.variants[variant] if variant is not None else VariantPrompting()
        prompting = self.prompting.overrides
        if overrides.prompting is not None:
            prompting |= overrides.prompting.overrides
        return self.model_copy(
            update={
                "triple": PromptedCheckpoint(vlm=overrides.checkpoint or self.triple.vlm),
                "prompting": PromptingSettings(**prompting),
                "variants": {},
            }
        )
