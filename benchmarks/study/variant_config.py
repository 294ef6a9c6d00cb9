"""Describe one variant of a study: a merging method with its parameters, or a checkpoint as it is."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.engine_settings import Served
from benchmarks.study.question_settings import VariantPrompting
from benchmarks.study.search_settings import SearchSettings

ScopeName = Literal["mat", "mat_no_qk", "mat_attn", "mat_mlp", "mat+bias", "mat+bias+norm"]


class ServedVariant(VariantPrompting):
    """Holds the part of a variant that its answers depend on, beside its weights."""

    served: Served | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="engine openai: where this variant is served, `{address: ..., model: ...}`, as far as it"
        " differs from the engine's",
    )


class VariantConfig(ServedVariant):
    """Holds one line of `variants`: a method whose coefficients dev chooses, or a finished checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str | None = Field(
        None, description="a file in `baselines` or `frism/methods` (`frism methods` lists them)"
    )
    params: dict[str, Any] = Field({}, description="fixed parameters; the method's own defaults otherwise")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {},
        description="parameters to choose on dev: lists of values, all combinations, least injection first",
    )
    search: SearchSettings | None = Field(
        None,
        description="in place of a grid: `trials` points chosen by the scores of those before (TPE; needs"
        " optuna), from `ranges` (`{low, high, log}`) and `choices` of parameters",
        exclude_if=lambda value: value is None,  # digests of variants are older than this
    )
    reference: str | None = Field(
        None, description="the variant whose learned coefficients this one starts from"
    )
    scope: ScopeName | None = Field(
        None,
        description="tensors that this variant alone may touch, where they are not the study's `scope`",
        exclude_if=lambda value: value is None,  # digests of variants are older than these two
    )
    base: str | None = Field(
        None,
        description="the folder of another base for this variant than `triple.base`: a nearer parent of the"
        " reasoning model, say",
        exclude_if=lambda value: value is None,
    )

    calibration: CalibrationSettings | None = Field(
        None,
        description="the unlabelled questions that this variant alone learns from, where they are not the"
        " study's `calibration`",
        exclude_if=lambda value: value is None,
    )

    @field_validator("grid")
    @classmethod
    def _name_each_value_once(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in grid.items():
            twice = [value for number, value in enumerate(values) if value in values[:number]]
            if twice:
                raise ValueError(f"{name} names {twice[0]!r} twice")
        return grid

    @model_validator(mode="after")
    def _be_one_or_the_other(self) -> Self:
        if (self.method is None) == (self.checkpoint is None):
            raise ValueError("a variant has either a method or a checkpoint: give one of the two")
        own = ("params", "grid", "search", "reference", "scope", "base", "calibration")
        unused = [key for key in own if getattr(self, key)]
        if self.checkpoint is not None and unused:
            raise ValueError(f"a checkpoint is asked as it is: drop {unused[0]}")
        if twice := [key for key in self.grid if key in self.params]:
            raise ValueError(f"'{twice[0]}' is both fixed (params) and swept (grid): drop one")
        if self.search and self.grid:
            raise ValueError(
                "its parameters are either swept (grid) or searched (search): drop one of the two"
            )
        if self.search and (twice := [key for key in self.search.names if key in self.params]):
            raise ValueError(f"'{twice[0]}' is both fixed (params) and searched (search): drop one")
        return self

    @property
    def swept(self) -> list[str]:
        """List the parameters that are chosen on dev."""
        return self.search.names if self.search else list(self.grid)

    @property
    def planned(self) -> list[dict[str, Any]]:
        """List parameters that a plan can check: every grid point, or the ends of what is searched."""
        if self.search is None:
            return self.points
        return [{**self.params, **corner} for corner in self.search.corners]

    @property
    def points(self) -> list[dict[str, Any]]:
        """List the parameters of every grid point, fixed ones included; the last key varies fastest.

        Of a search, whose values are not known before, one entry per trial.
        """
        if self.search is not None:
            return [{**self.params, **self.search.corners[0]}] * self.search.trials
        return list(expand(self.params, self.grid))


def expand(params: Mapping[str, Any], grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of every combination of a grid."""
    for values in product(*grid.values()):
        yield {**params, **dict(zip(grid, values, strict=True))}
