"""Say how sure a study's statistics are to be: the `statistics` part of its config."""

from pydantic import Field

from benchmarks.study.section import Section


class StatisticsSettings(Section):
    """How intervals and tests are made."""

    confidence: float = Field(0.95, gt=0.5, lt=1, description="level of all intervals and tests")
    resamples: int = Field(2000, ge=100, description="bootstrap resamples, where a formula does not serve")
