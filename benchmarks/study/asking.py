"""Say how one variant is asked, where that differs from the study's way."""

from pydantic import Field

from benchmarks.study.question_settings import PromptingSettings
from benchmarks.study.section import Slice


class Asking(Slice):
    """The part of a variant that its questions depend on."""

    checkpoint: str | None = Field(
        None, description="instead of a method: the folder of a vision-language model that is asked as it is"
    )
    prompting: PromptingSettings | None = Field(
        None, description="how this variant alone is asked, where it differs from the study's `prompting`"
    )

    @property
    def own_items(self) -> bool:
        """Whether the variant needs items of its own: it is another model, or is prompted otherwise."""
        return self.checkpoint is not None or self.prompting is not None
