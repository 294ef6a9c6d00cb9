"""The `explain` part of a study's config: which two benchmarks the rank-by-rank figure scores."""

from pydantic import BaseModel, ConfigDict, Field


class ExplainSettings(BaseModel):
    """Names of benchmarks of the study; null stands for the mean over the axis."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reasoning: str | None = Field(
        default=None, description="the benchmark of the axis reasoning; null: the axis' mean"
    )
    perception: str | None = Field(
        default=None, description="the benchmark of the axis perception; null: the axis' mean"
    )
