"""Fit the points of a variant's grid; points that were finished before a kill are reused."""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores, Fitting
from frism.method.method import Method
from frism.method.recipe import RECIPE, Recipe
from frism.spectra.settings import SpectrumSettings

WORK = "work"  # below the variant's folder

Scorer = Callable[[Recipe, Fitted], DevScores]


@dataclass(frozen=True)
class Point:
    """Holds one combination of the grid, merged with the fixed parameters, and what was fitted for it."""

    recipe: Recipe
    fitted: Fitted
    folder: Path


def list_points(
    method: Method, params: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """Return complete parameters of every combination, the last key of the grid running fastest.

    Raises UserError for an unknown parameter or a value of the wrong type, before anything is fitted.
    """
    combinations = itertools.product(*grid.values())
    return [method.validate({**params, **dict(zip(grid, values, strict=True))}) for values in combinations]


def fit_point(
    method: Method,
    params: Mapping[str, Any],
    fitting: Fitting,
    *,
    code: str,
    folder: Path,
    spectrum: SpectrumSettings | None = None,
    scorer: Scorer | None = None,
    release: Callable[[], None] | None = None,
    base: str | None = None,
) -> Point:
    """Fit one grid point, or take up what an earlier, interrupted run fitted for the very same inputs.

    Args:
        code: digests code, calibration, precision and reference: a change in any makes another recipe.
        scorer: scores a candidate, for a method that is searched with dev scores.
        release: called before a fit that has to be run, to free memory for it.
        base: the folder of B, where it is not the study's.
    """

    def recipe_with(fitted: Fitted) -> Recipe:
        return Recipe.make(
            fitting.triple, method.name, params,
            scope=fitting.scope, seed=fitting.seed, spectrum=spectrum, code=code, fitted=fitted,
            base=base,
        )  # fmt: skip

    if (folder / RECIPE).exists():
        try:
            recipe, fitted = Recipe.load(folder)
        except UserError:  # cut short or of another version: fitted again below
            pass
        else:
            if recipe == recipe_with(fitted):
                return Point(recipe, fitted, folder)
    if release is not None:
        release()
    if scorer is not None:
        fitting = replace(fitting, scorer=lambda candidate: scorer(recipe_with(candidate), candidate))
    fitted = method.run_fit(fitting, params)
    recipe = recipe_with(fitted)
    recipe.save(folder, fitted)
    return Point(recipe, fitted, folder)


def prepare_workspace(out: Path, identity: Sequence[object]) -> Path:
    """Return the folder where the fits of a variant keep their state, named after common inputs.

    The points share it, and with it what does not depend on their parameters, such as the teacher's answers;
    a method keys by its parameters what does. What other inputs left there goes.
    """
    folder = out / WORK / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    for stale in (out / WORK).glob("*"):
        if stale != folder:
            shutil.rmtree(stale)
    return folder


def learning_curve(fitted: Fitted) -> pd.DataFrame:
    """Return the curve of a fit as columns, one row per step; empty if it has none."""
    curves = {name: fitted.curve[name].tolist() for name in sorted(fitted.curve)}
    return pd.DataFrame(curves).rename_axis("step").reset_index() if curves else pd.DataFrame()
