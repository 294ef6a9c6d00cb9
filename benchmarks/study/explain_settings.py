"""The `explain` part of a study's config: which two benchmarks the rank-by-rank figure scores."""

from pydantic import Field

from benchmarks.study.section import Section


class ExplainSettings(Section):
    """Names of benchmarks of the study; null stands for the mean over the axis."""

    reasoning: str | None = Field(
        None,
        description="the benchmark of the axis reasoning in the figure of rank blocks; null: the axis' mean",
    )
    perception: str | None = Field(
        None, description="the benchmark of the axis perception there; null: the axis' mean"
    )
