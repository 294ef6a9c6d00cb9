"""Say how many questions a study asks, where their data lie and how they are put: parts of its config."""

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.study.section import Section

Number = Annotated[int, Field(ge=1)] | Literal["all"]


class QuestionSettings(Section):
    """Questions per benchmark, by what they are for."""

    dev: int = Field(ge=1, description="questions per benchmark that choose coefficients")
    test: Number = Field(
        description="questions per benchmark that the reported numbers come from; `all`: what dev leaves over"
    )
    text: Number = Field(
        default_factory=lambda given: given["test"],
        description="questions per text benchmark, or `all`; as `test` unless given",
    )


class DataSettings(Section):
    """Where data lie that were fetched before."""

    folder: str | None = Field(
        None,
        description="the folder of the TSVs, and of mirrors of the hub's data sets"
        " (`<folder>/openai/gsm8k`); without it the text column reads the hub's cache",
    )


class PromptingSettings(Section):
    """What differs from VLMEvalKit's rules for the model's family; null: nothing."""

    custom_prompts: bool | None = Field(None, description="whether the family's own prompts are used")
    min_pixels: int | None = Field(None, ge=1, description="smaller pictures are enlarged to this")
    max_pixels: int | None = Field(None, ge=1, description="larger pictures are shrunk to this")
    system_prompt: str | None = Field(None, description="said before every question")

    @property
    def overrides(self) -> dict[str, Any]:
        """What is given, as `benchmarks.prompting.families.read_family` takes it."""
        return self.model_dump(exclude_none=True)
