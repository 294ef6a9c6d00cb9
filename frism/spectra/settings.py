"""Settings of a task vector's spectrum: rank, solver, precision of the factors."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SpectrumSettings(BaseModel):
    """The `spectrum` part of a study's config; what a recipe remembers of the spectrum it was fitted on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rank: int | None = Field(
        default=None,
        ge=1,
        description="leading directions kept per matrix; the rest is one more subspace, the tail, with a gate"
        " of its own, so that the sum stays exact. null: all of them, as in the paper",
    )
    solver: Literal["auto", "gesdd", "gram", "qr", "randomised", "gesvd", "gesvdj", "gesvda"] = Field(
        default="auto",
        description="by shape, rank and device, from measured costs, or one solver for all (gesdd on a CPU;"
        " gesvd, gesvdj, gesvda on a GPU)",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the stored factors U and V"
    )

    def count_directions(self, shape: tuple[int, ...]) -> int:
        """Return how many directions of a matrix of this shape are kept."""
        return min(self.rank or min(shape), *shape)
