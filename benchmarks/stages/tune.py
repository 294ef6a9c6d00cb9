"""Fit a variant, choose its coefficients on dev, and write its recipe.

python -m benchmarks.stages.tune --variant inject --method inject --params '{}'
    --grid '{"strength": [0.1, 0.3]}' ...
writes FOLDER/{recipe.json, coefficients.safetensors, dev.csv, choice.json, learning.csv}; what it finished
of a grid is kept in FOLDER/points and not done again after a kill, and a fit that was cut off goes on from
what it left in FOLDER/work, with its learning curve as it grows. All points are fitted before any answers,
so that the model that learns and the model that answers are never in memory together.
"""

import gc
import hashlib
import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import typer
from torch import Tensor

from benchmarks.answering import predictions as prediction_files
from benchmarks.answering.answer import answer_missing
from benchmarks.answering.engine import open_engine, origin
from benchmarks.answering.matching import matched
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.calibration import load as calibrations
from benchmarks.questions import item, reading
from benchmarks.scoring.question_scores import score, totals
from benchmarks.stages.arguments import triple_of
from benchmarks.statistics.selection import choose
from benchmarks.study import calibration_settings, options
from benchmarks.study.engine_settings import LOCAL, EngineSettings
from frism.compute import Compute
from frism.errors import UserError, reported
from frism.files import atomic_write
from frism.merging import on_load
from frism.method.method import Method, find
from frism.method.recipe import RECIPE, Recipe
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

WORK = "work"  # below the variant's folder
Factors = Literal["auto", "resident", "streamed"]


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


def dev_scores(
    engine: TransformersEngine,
    triple: Triple,
    point: Point,
    items: Mapping[str, Sequence[item.Item]],
    variant: str,
    spectra: Path | None = None,
) -> pd.DataFrame:
    """Answer and score the dev questions with one point: benchmark, axis, group, n, correct, score."""
    batches = engine.batches([i for group in items.values() for i in group], origin(triple, point.recipe))
    path = point.folder / "dev.jsonl"
    with prediction_files.opened(path, {key for batch in batches for key in batch.keys}) as store:
        if any(key not in store.done for batch in batches for key in batch.keys):
            on_load.apply(engine.model, triple, point.recipe, point.fitted, spectra)
        for _ in answer_missing(engine, batches, store):
            pass
    return totals(score(variant, items, matched(items, prediction_files.read(path), path)))


def learning_curve(fitted: Mapping[str, Tensor]) -> pd.DataFrame:
    """The "curve/<quantity>" entries of a fit as columns, one row per step; empty if it has none."""
    # Sorted: what was read back from a file has another order than what was just fitted.
    curves = {k.removeprefix("curve/"): fitted[k].tolist() for k in sorted(fitted) if k.startswith("curve/")}
    return pd.DataFrame(curves).rename_axis("step").reset_index() if curves else pd.DataFrame()


def _supplied(
    method: Method, calibration: str, seed: int, compute: Compute, reference: Path | None
) -> tuple[dict[str, Any], str]:
    """What fitting is given beside triple and parameters, and what of it a recipe's identity depends on.

    A recipe belongs to its inputs: what it was calibrated on, in which precision and on what kind of device,
    and what it started from are part of it.
    """
    supplied, identity = _reference(reference), [""]
    started = supplied.pop("reference_key", "")
    if method.needs_calibration:
        supplied["calibration"] = calibrations.load(
            calibration_settings.CalibrationSettings.parse(calibration), seed
        )
        identity = [supplied["calibration"].digest]
    if "compute" in method.fit_names:
        supplied["compute"] = compute
        identity.append(f"{compute.dtype} on {compute.torch_device.type}")
    return supplied, ":".join([*identity, started])


def _reference(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    recipe, fitted = Recipe.load(folder)
    return {"reference": fitted, "reference_params": recipe.params, "reference_key": recipe.key}


def _json(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{option} must be a JSON object, not {text!r}.")
    return value


def _release(settings: EngineSettings) -> None:
    """Give back what a fit held: its model is referred to in circles."""
    gc.collect()
    if settings.torch_device.type == "cuda":
        torch.cuda.empty_cache()


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")


@reported()
def main(
    variant: Annotated[str, typer.Option(help="the variant's name")],
    method: Annotated[str, typer.Option(help="a file in baselines or frism/methods")],
    triple: Annotated[str, typer.Option(help="checkpoint folders as JSON: base, vlm, lrm")],
    items: Annotated[Path, typer.Option(help="the items folder")],
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    engine: Annotated[str, typer.Option(help="the engine's settings as JSON")],
    selection: Annotated[str, typer.Option(help="the rule's settings as JSON: perception_budget")],
    out: Annotated[Path, typer.Option(help="the variant's folder")],
    params: Annotated[str, typer.Option(help="fixed parameters as JSON")] = "{}",
    grid: Annotated[str, typer.Option(help="parameters to choose, as JSON: name to list")] = "{}",
    scope: Annotated[str, typer.Option(help="tensors that may be merged")] = "mat",
    seed: Annotated[int, typer.Option(help="for fits and random masks")] = 0,
    code: Annotated[str, typer.Option(help="digest of the code that fits and merges")] = "",
    calibration: Annotated[str, typer.Option(help="the unlabelled questions' settings as JSON")] = "{}",
    spectrum: Annotated[str, typer.Option(help="the spectrum's settings as JSON")] = "{}",
    spectra: Annotated[Path | None, typer.Option(help="the folder that keeps spectra")] = None,
    factors: Annotated[Factors, typer.Option(help="where U and V lie while gates are learned")] = "auto",
    reference: Annotated[Path | None, typer.Option(help="folder of the variant to start from")] = None,
    compare_with: Annotated[Path | None, typer.Option(help="folder of the unmodified VLM's variant")] = None,
) -> None:
    """Fit a variant and choose its coefficients."""
    settings, found = EngineSettings.parse(engine), find(method)
    if settings.name not in LOCAL:
        raise UserError(
            f"engine.name is {settings.name}, but coefficients are chosen by an engine that merges on load:"
            f" set it to {' or '.join(LOCAL)}."
        )
    points = grid_points(found, _json("--params", params), _json("--grid", grid))
    decomposed = options.parse(SpectrumSettings, spectrum, "--spectrum")
    three = triple_of(triple, scope)
    asked = reading.load(items, "dev", benchmarks)
    compute = Compute(str(settings.torch_device), settings.dtype, settings.device_map, factors)
    supplied, identity = _supplied(found, calibration, seed, compute, reference)
    if found.needs_spectrum:
        supplied["spectra"] = Spectra(three, decomposed, spectra)
    inputs = [three.digest, method, code, identity, scope, seed, decomposed.model_dump()]
    workspace, made = working_folder(out, inputs), []
    for number, complete in enumerate(points):
        print(f"{variant}: point {number + 1} of {len(points)}: {json.dumps(complete)}", flush=True)
        made.append(
            fit_point(
                three, found, complete, supplied,
                scope=scope, seed=seed, code=f"{code}:{identity}", folder=out / "points" / str(number),
                spectrum=decomposed, workspace=workspace,
            )
        )  # fmt: skip
        _release(settings)
    shutil.rmtree(out / WORK, ignore_errors=True)
    running, rows = open_engine(three, None, None, settings, items), []
    for number, (complete, point) in enumerate(zip(points, made, strict=True)):
        scores = dev_scores(running, three, point, asked, variant, spectra)
        rows.append(scores.assign(variant=variant, point=number, params=json.dumps(complete, sort_keys=True)))
    columns = ["variant", "point", "params", "benchmark", "axis", "group", "n", "correct", "score"]
    dev = pd.concat(rows, ignore_index=True)[columns]
    budget = float(_json("--selection", selection)["perception_budget"])
    unmodified = pd.read_csv(compare_with / "dev.csv") if compare_with else dev
    choice = choose(dev, unmodified, budget=budget) if compare_with or len(points) == 1 else None
    if choice is None:
        raise UserError(
            f"variant {variant} has a grid: name the unmodified VLM's folder with --compare-with."
        )
    chosen = made[choice.point]
    norms = on_load.injected_norms(three, chosen.recipe, chosen.fitted, settings.torch_device, spectra)
    _write(dev, out / "dev.csv")
    _write(pd.DataFrame({"tensor": list(norms), "injected_norm": list(norms.values())}), out / "norms.csv")
    if len(curve := learning_curve(chosen.fitted)):
        _write(curve, out / "learning.csv")
    with atomic_write(out / "choice.json") as temporary:
        temporary.write_text(json.dumps(choice.to_dict(), indent=1) + "\n")
    chosen.recipe.save(out, chosen.fitted)


if __name__ == "__main__":
    typer.run(main)
