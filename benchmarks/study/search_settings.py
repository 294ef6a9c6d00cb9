"""Say how a variant's parameters are searched on dev, where no grid names their values."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from benchmarks.study.section import Section


class SearchedRange(Section):
    """Holds the ends of a number that is searched, both included."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(False, description="whether ratios count, not differences")

    @model_validator(mode="after")
    def _be_a_range(self) -> "SearchedRange":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}: exchange them")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: choose one above 0")
        return self


class SearchSettings(Section):
    """Holds a search by the tree-structured Parzen estimator (Bergstra et al. 2011; needs optuna)."""

    trials: int = Field(ge=1, description="combinations that are fitted and scored on dev")
    ranges: dict[str, SearchedRange] = Field(
        {}, description="numbers, each with `low`, `high` and perhaps `log`"
    )
    choices: dict[str, Annotated[list[Any], Field(min_length=2)]] = Field(
        {}, description="parameters of which each value is named"
    )

    @model_validator(mode="after")
    def _search_something(self) -> "SearchSettings":
        if not self.ranges and not self.choices:
            raise ValueError("a search needs a parameter: name one in ranges or choices")
        if twice := sorted(set(self.ranges) & set(self.choices)):
            raise ValueError(f"'{twice[0]}' is both in ranges and in choices: drop one")
        return self

    @property
    def names(self) -> list[str]:
        """List the parameters that are searched."""
        return [*self.ranges, *self.choices]

    @property
    def corners(self) -> list[dict[str, Any]]:
        """List values that must all be allowed: both ends of all ranges, with every choice."""
        lows, highs = (
            {name: _make_whole(getattr(r, end)) for name, r in self.ranges.items()} for end in ("low", "high")
        )
        count = max([len(values) for values in self.choices.values()], default=1)
        return [
            {**end, **{name: values[i % len(values)] for name, values in self.choices.items()}}
            for end in (lows, highs)
            for i in range(count)
        ]


def _make_whole(value: float) -> int | float:
    """Return a whole number as one: parameters that count take no other."""
    return int(value) if value.is_integer() else value
