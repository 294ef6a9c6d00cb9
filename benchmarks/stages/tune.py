"""Fit a variant, choose its coefficients on dev, and write its recipe.

python -m benchmarks.stages.tune --variant inject --method inject --params '{}'
    --grid '{"strength": [0.1, 0.3]}' ...
writes FOLDER/{recipe.json, coefficients.safetensors, dev.csv, choice.json, learning.csv}; what it finished
of a grid is kept in FOLDER/points and not done again after a kill, and a fit that was cut off goes on from
what it left in FOLDER/work, with its learning curve as it grows. All points are fitted before any answers,
so that the model that learns and the model that answers are never in memory together.
"""

import gc
import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import typer

from benchmarks.answering.engine import open_engine
from benchmarks.questions import reading
from benchmarks.stages.arguments import triple_of
from benchmarks.statistics.selection import choose
from benchmarks.study import options
from benchmarks.study.engine_settings import LOCAL, EngineSettings
from benchmarks.tuning.dev_scores import dev_scores
from benchmarks.tuning.inputs import gather_inputs
from benchmarks.tuning.points import WORK, fit_point, grid_points, learning_curve, working_folder
from frism.compute import Compute
from frism.errors import UserError, report_errors
from frism.files import atomic_write
from frism.merging import on_load
from frism.method.method import find
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra

Factors = Literal["auto", "resident", "streamed"]


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


@report_errors()
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
    supplied, identity = gather_inputs(found, calibration, seed, compute, reference)
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
