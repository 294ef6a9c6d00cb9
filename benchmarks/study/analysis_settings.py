"""Say which analyses of a study's variants are run: the `analyses` part of its config."""

from typing import Any

from pydantic import Field

from benchmarks.study.section import Section


class AnalysisSettings(Section):
    """Holds one line of `analyses`: an analysis with its parameters, of some variants on dev."""

    analysis: str | None = Field(
        None, description="a file in `benchmarks/analyses`; the entry's own name unless given"
    )
    variants: tuple[str, ...] = Field(
        (), description="of this config; all that the analysis is made for unless given"
    )
    benchmarks: tuple[str, ...] = Field(
        (), description="of this config, on either axis; all that coefficients are chosen by unless given"
    )
    questions: int = Field(
        60, ge=1, description="per benchmark, drawn from the dev questions by the study's seed; never of test"
    )
    params: dict[str, Any] = Field(
        {}, description="the analysis' own parameters; a list of values where it says so: all combinations"
    )
