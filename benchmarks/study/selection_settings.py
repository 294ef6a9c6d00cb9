"""Say how coefficients are chosen on dev and a loss is judged on test: the `selection` part of a config."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DevRule(BaseModel):
    """Holds the rule that chooses a grid point; all that a fit reads of the selection."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    perception_budget: float = Field(
        0.02, ge=0, le=1, description="perception that the chosen grid point may lose on dev, as a share"
    )
    third_axis: str | None = Field(
        None,
        description="a group of benchmarks beside both axes, such as abilities that no calibration asks for:"
        " it stands in the summary's first sentence and in the sweeps; its benchmarks need `dev: true`",
        exclude_if=lambda value: value is None,  # digests are older than these two
    )
    third_budget: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of the third axis, what the chosen grid point may lose on dev; null: it does not choose",
        exclude_if=lambda value: value is None,
    )

    @model_validator(mode="after")
    def _name_the_axis_of_a_budget(self) -> Self:
        if self.third_budget is not None and self.third_axis is None:
            raise ValueError("third_budget is of an axis that is not named: give third_axis")
        return self


class SelectionSettings(DevRule):
    """Holds the rule on dev, the margin on test, and whether the oracle is shown beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    margin: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="perception that may be lost on test before a variant counts as worse (the"
        " non-inferiority test); null: the budget",
    )
    oracle: bool = Field(
        False, description="also answer the test questions with every grid point, for the oracle's table"
    )

    @property
    def tolerated(self) -> float:
        """Return the margin of the non-inferiority test: the budget unless the config says otherwise."""
        return self.perception_budget if self.margin is None else self.margin
