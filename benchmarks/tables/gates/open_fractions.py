"""Read the open fractions that a variant's fit left, at the chosen point and at every grid point."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.config import StudyConfig
from frism.method.discovery import find
from frism.method.method import Method
from frism.method.recipe import COEFFICIENTS, RECIPE, Recipe
from frism.spectra.settings import SpectrumSettings
from frism.triples.scopes import split_name

Floats = NDArray[np.float64]
MODULES = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass(frozen=True)
class OpenFractions:
    """Hold the open fractions of one fitted point.

    Attributes:
        opened: by canonical tensor name the open fraction of every direction, (k,), falling singular values.
        tails: by tensor name the open fraction of the tail, where the spectrum is truncated.
    """

    variant: str
    point: int
    recipe: Recipe
    opened: dict[str, Floats]
    tails: dict[str, float]

    @property
    def method(self) -> Method:
        """Return the method that fitted the gates."""
        return find(self.recipe.method or "")

    @property
    def strength(self) -> float:
        """Return the factor outside the gates."""
        return float(self.recipe.params.get("strength", 1.0))

    @property
    def alpha(self) -> float | None:
        """Return the weight of the injected energy in the loss; None for a method that ignores it."""
        alpha = None if "alpha" in self.method.ignores else self.recipe.params.get("alpha")
        return None if alpha is None else float(alpha)

    @property
    def singular(self) -> bool:
        """Whether the gates sit on the singular directions themselves."""
        return self.method.directions == "singular"

    @property
    def spectrum(self) -> SpectrumSettings:
        """Return how the spectrum was computed whose directions the gates sit on."""
        assert self.recipe.spectrum is not None
        return self.recipe.spectrum

    @property
    def values(self) -> Floats:
        """Return the open fractions of all directions of all matrices, without those of the tails."""
        return np.concatenate(list(self.opened.values()))


def read_open_fractions(folder: Path, variant: str, point: int = 0) -> OpenFractions | None:
    """Read the open fractions of one folder; None for a fit without gates.

    Raises UserError for a recipe or coefficients that are damaged.
    """
    if not (folder / RECIPE).exists() or not (folder / COEFFICIENTS).exists():
        return None
    recipe, fitted = Recipe.load(folder)
    opened, tails = {}, {}
    for name in sorted(fitted.tensors, key=order_of):
        own = fitted.tensors[name]
        if "open" in own:
            opened[name] = own["open"].double().numpy()
        if "open_tail" in own:
            tails[name] = float(own["open_tail"])
    return OpenFractions(variant, point, recipe, opened, tails) if opened else None


def read_chosen(results: Path, study: StudyConfig) -> dict[str, OpenFractions]:
    """Read the gates of every variant but the controls, which borrow theirs, at its chosen point.

    Variants with a base of their own are left out: their directions are not those of the study's tau_R.
    """
    gates_by_variant = {}
    for variant, settings in study.variants.items():
        if study.role(variant) != "control" and settings.base is None:
            gates = read_open_fractions(results / "variants" / variant, variant)
            if gates is not None:
                gates_by_variant[variant] = gates
    return gates_by_variant


def read_points(results: Path, variant: str) -> Iterator[OpenFractions]:
    """Yield the gates of every grid point of a variant, in grid order; nothing where no point was kept."""
    folder = results / "variants" / variant / "points"
    for number in sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit()):
        gates = read_open_fractions(folder / str(number), variant, number)
        if gates is not None:
            yield gates


def locate_matrix(name: str) -> tuple[int, str]:
    """Split a matrix' name into decoder layer and module: "layers.3.mlp.down_proj.weight" is (3, "down")."""
    layer, rest = split_name(name)
    module = rest.removesuffix(".weight").rpartition(".")[2].removesuffix("_proj")
    return -1 if layer is None else layer, module


def order_of(name: str) -> tuple[int, int, str]:
    """Return a sort key for matrices: by layer, then q, k, v, o, gate, up, down."""
    layer, module = locate_matrix(name)
    return layer, MODULES.index(module) if module in MODULES else len(MODULES), module
