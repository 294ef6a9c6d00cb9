"""Say how tables and figures report a study: the `statistics` and `explain` parts of its config."""

from pydantic import Field

from benchmarks.study.section import Section


class StatisticsSettings(Section):
    """Holds how intervals and tests are made."""

    confidence: float = Field(0.95, gt=0.5, lt=1, description="level of all intervals and tests")
    resamples: int = Field(2000, ge=100, description="bootstrap resamples, where a formula does not serve")
    rivals: tuple[str, ...] = Field(
        (),
        description="variants that every learned one is compared with, beside its controls and `inject`",
        exclude_if=lambda value: not value,  # records are older than this
    )


class ExplainSettings(Section):
    """Names the two benchmarks of the figure of rank blocks; null stands for the mean over the axis."""

    reasoning: str | None = Field(
        None,
        description="the benchmark of the axis reasoning in the figure of rank blocks; null: the axis' mean",
    )
    perception: str | None = Field(
        None, description="the benchmark of the axis perception there; null: the axis' mean"
    )
