"""Say how many questions a study asks, where their data lie and how they are put, for all variants or one."""

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.study.section import Section, Slice

Number = Annotated[int, Field(ge=1)] | Literal["all"]


class QuestionSettings(Section):
    """Holds the numbers of questions per benchmark, by purpose."""

    dev: int = Field(ge=1, description="questions per benchmark that choose coefficients")
    test: Number = Field(
        description="questions per benchmark that the reported numbers come from; `all`: what dev leaves over"
    )
    text: Number = Field(
        default_factory=lambda fields: fields["test"],
        description="questions per text benchmark, or `all`; as `test` unless given",
    )
    shards: int = Field(
        1,
        ge=1,
        le=1000,
        description="jobs that share a variant's test questions, each with a model of its own; engine"
        " transformers",
        exclude_if=lambda value: value == 1,  # records are older than this
    )


class DataSettings(Section):
    """Holds where data lie that were fetched before."""

    folder: str | None = Field(
        None,
        description="the folder of the TSVs, and of mirrors of the hub's data sets"
        " (`<folder>/openai/gsm8k`); without it the text column reads the hub's cache",
    )


class PromptingSettings(Section):
    """Holds what differs from VLMEvalKit's rules for the model's family; null: nothing."""

    custom_prompts: bool | None = Field(None, description="whether the family's own prompts are used")
    min_pixels: int | None = Field(None, ge=1, description="smaller pictures are enlarged to this")
    max_pixels: int | None = Field(None, ge=1, description="larger pictures are shrunk to this")
    system_prompt: str | None = Field(None, description="said before every question")

    @property
    def overrides(self) -> dict[str, Any]:
        """Return what is set, as `benchmarks.prompting.families.read_family` takes it."""
        return self.model_dump(exclude_none=True)


class VariantPrompting(Slice):
    """Holds the part of a variant that its questions depend on."""

    checkpoint: str | None = Field(
        None, description="instead of a method: the folder of a vision-language model that is asked as it is"
    )
    prompting: PromptingSettings | None = Field(
        None, description="how this variant alone is asked, where it differs from the study's `prompting`"
    )

    @property
    def needs_own_items(self) -> bool:
        """Return whether the variant needs items of its own: as another model, or prompted otherwise."""
        return self.checkpoint is not None or self.prompting is not None
