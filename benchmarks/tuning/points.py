"""Fit the points of a variant's grid: what one finished is taken up after a kill."""

import hashlib
import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from frism.errors import UserError
from frism.method.method import Method
from frism.method.recipe import RECIPE, Recipe
from frism.spectra.settings import SpectrumSettings
from frism.triples.triple import Triple

WORK = "work"  # below the variant's folder


@dataclass(frozen=True)
class Point:
    """One combination of the grid, merged with the fixed parameters, and what was fitted for it."""

    recipe: Recipe
    fitted: dict[str, Tensor]
    folder: Path


def grid_points(
    method: Method, params: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """Complete parameters of every combination, the last key of the grid running fastest.

    Raises UserError for an unknown parameter or a value of the wrong type, before anything is fitted.
    """
    combinations = itertools.product(*grid.values())
    return [method.validate({**params, **dict(zip(grid, values, strict=True))}) for values in combinations]


def fit_point(
    triple: Triple,
    method: Method,
    params: Mapping[str, Any],
    supplied: Mapping[str, Any],
    *,
    scope: str,
    seed: int,
    code: str,
    folder: Path,
    spectrum: SpectrumSettings | None = None,
    workspace: Path | None = None,
) -> Point:
    """Fit one grid point, or take up what an earlier, interrupted run fitted for the very same inputs.

    `code` digests code, calibration, precision and reference: a change in any of them makes another recipe.
    """

    def recipe_with(fitted: dict[str, Tensor]) -> Recipe:
        return Recipe.make(
            triple, method.name, params,
            scope=scope, seed=seed, spectrum=spectrum, code=code, fitted=fitted,
        )  # fmt: skip

    if (folder / RECIPE).exists():
        try:
            recipe, fitted = Recipe.load(folder)
        except UserError:  # cut short or of another version: fitted again below
            pass
        else:
            if recipe == recipe_with(fitted):
                return Point(recipe, fitted, folder)
    fitted = method.run_fit(triple, params, seed=seed, workspace=workspace, **supplied)
    recipe = recipe_with(fitted)
    recipe.save(folder, fitted)
    return Point(recipe, fitted, folder)


def working_folder(out: Path, identity: Sequence[object]) -> Path:
    """Where the fits of a variant keep their state between kills, under a key of their common inputs.

    The points share it, and with it what does not depend on their parameters, such as the teacher's answers;
    a method keys by its parameters what does. What other inputs left there goes.
    """
    own = out / WORK / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    for stale in (out / WORK).glob("*"):
        if stale != own:
            shutil.rmtree(stale)
    return own


def learning_curve(fitted: Mapping[str, Tensor]) -> pd.DataFrame:
    """The "curve/<quantity>" entries of a fit as columns, one row per step; empty if it has none."""
    # Sorted: what was read back from a file has another order than what was just fitted.
    curves = {k.removeprefix("curve/"): fitted[k].tolist() for k in sorted(fitted) if k.startswith("curve/")}
    return pd.DataFrame(curves).rename_axis("step").reset_index() if curves else pd.DataFrame()
