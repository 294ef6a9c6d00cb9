"""Say what of a study its questions depend on, and which variants are asked in a way of their own."""

from typing import Self

from benchmarks.study.asking import Asking
from benchmarks.study.entry import Entry
from benchmarks.study.question_settings import DataSettings, Number, PromptingSettings
from benchmarks.study.section import Slice


class Receiver(Slice):
    """The checkpoint whose family writes the prompts."""

    vlm: str


class Splits(Slice):
    """Questions per benchmark and split."""

    dev: int
    test: Number


class ItemsSlice(Slice):
    """What the stage `items` reads."""

    seed: int
    triple: Receiver
    benchmarks: tuple[Entry, ...]
    questions: Splits
    data: DataSettings
    prompting: PromptingSettings
    variants: dict[str, Asking]

    def asked_of(self, variant: str | None) -> Self:
        """Return the slice for one variant's own items, or (None) for those that all others share."""
        own = self.variants[variant] if variant is not None else Asking()
        given = self.prompting.overrides | (own.prompting.overrides if own.prompting else {})
        return self.model_copy(
            update={
                "triple": Receiver(vlm=own.checkpoint or self.triple.vlm),
                "prompting": PromptingSettings(**given),
                "variants": {},
            }
        )
