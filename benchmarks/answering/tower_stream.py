"""Stream a variant's whole language tower, as an engine that loads checkpoints takes it, and sum it up.

Engines pack parameters (q, k and v in one) and fill a pack from whole tensors alone, and what a stream leaves
out keeps what the variant before had there. So every tensor that any method may touch is in it, by layers.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


@dataclass(frozen=True)
class Swap:
    """Says in plain values, which travel between processes, what to become: V, or a variant in a folder.

    Attributes:
        folders: of the triple, by role.
        variant: the folder of its recipe and coefficients; None for V as it is.
        fitted: whether the folder holds what a fit gave, as against a method that is fitted on the way.
        spectra: the folder that keeps spectra.
    """

    folders: dict[str, str]
    variant: str | None = None
    fitted: bool = True
    spectra: str | None = None

    @classmethod
    def save(
        cls, triple: Triple, recipe: Recipe, fitted: Fitted | None, spectra: Path | None, folder: Path
    ) -> Self:
        """Write a recipe with what was fitted into a folder, and say that this is what to become."""
        recipe.save(folder, fitted)
        return cls(
            describe_folders(triple), str(folder), fitted is not None, str(spectra) if spectra else None
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


@dataclass
class Sums:
    """Sums up a tower as an engine holds it: of every tensor, cast to the engine's dtype, norm and sum."""

    norms: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)

    def add(self, tensor: Tensor, dtype: torch.dtype) -> None:
        """Add one tensor; both numbers are float64."""
        values = tensor.to(dtype).flatten().to(torch.float64)
        self.norms.append(float(values.norm()))
        self.totals.append(float(values.sum()))


class TowerStream:
    """Yields (name in V's files, tensor in fp32) of the whole tower; it never raises.

    An engine that is loading does not survive an exception in its source, so V's values stand in for what
    could not be merged, and the error is kept.

    Args:
        dtype: of the engine's parameters.

    Attributes:
        error: what went wrong, if anything did. count: tensors so far. sums: of these.
    """

    def __init__(
        self,
        triple: Triple,
        recipe: Recipe | None,
        fitted: Fitted | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: torch.dtype = torch.float32,
        spectra: Path | None = None,
    ) -> None:
        self.triple, self.recipe, self.fitted = triple, recipe, fitted
        self.device, self.dtype, self.spectra = device, dtype, spectra
        self.error: Exception | None = None
        self.count, self.sums = 0, Sums()

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        merged = self._merge()
        inside = set(self.triple.names(self.recipe.scope)) if self.recipe is not None else set()
        for name in self.triple.tower_names(self.triple.widest_scope):
            tensor = None
            if name in inside and self.error is None:
                try:
                    found, tensor = next(merged)
                    if found != name:
                        raise RuntimeError(f"the merge gave {found} where {name} was due")
                except Exception as error:  # whatever it is, it is raised when the engine is through
                    self.error, tensor = error, None
            if tensor is None:
                tensor = self.triple.read("vlm", name, self.device)
            self.count += 1
            self.sums.add(tensor, self.dtype)
            yield self.triple.stored(name), tensor

    def _merge(self) -> Iterator[tuple[str, Tensor]]:
        if self.recipe is not None:
            yield from on_load.merge(self.triple, self.recipe, self.fitted, self.device, self.spectra)


def describe_folders(triple: Triple) -> dict[str, str]:
    """Return a triple's folders by role, absolute: another process may work elsewhere."""
    return {role: str(checkpoint.folder.resolve()) for role, checkpoint in triple.checkpoints.items()}


def open_stream(swap: Swap, device: "torch.device | str", dtype: torch.dtype) -> TowerStream:
    """Open what a swap asks for. Raises UserError for a recipe of other checkpoints or coefficients."""
    triple = Triple.open(swap.folders["base"], swap.folders["vlm"], swap.folders["lrm"])
    recipe, fitted = Recipe.load(swap.variant) if swap.variant else (None, None)
    if recipe is not None:
        recipe.check(triple, fitted if swap.fitted else None)
    spectra = Path(swap.spectra) if swap.spectra else None
    fitted = fitted if swap.fitted else None
    return TowerStream(triple, recipe, fitted, device=device, dtype=dtype, spectra=spectra)
