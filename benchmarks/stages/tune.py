"""Fit a variant, choose its coefficients on dev, and write its recipe.

python -m benchmarks.stages.tune --study results/miniature/study.json --variant V
writes variants/V/{recipe.json, coefficients.safetensors, dev.csv, norms.csv, choice.json, learning.csv}. What
it finished of a grid is kept in points/ and not done again after a kill, and a fit that was cut off goes on
from what it left in work/, with its learning curve as it grows. All points of a grid are fitted before any
answers, so that the model that learns and the model that answers are never in memory together; a search,
whose next trial depends on the scores of the last, alternates.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from benchmarks.answering.answer import make_late_engine
from benchmarks.answering.late_engine import LateEngine, free_memory
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.registry.lookup import find as find_benchmark
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.stages.open_triple import check_planned, open_triple
from benchmarks.statistics.selection import Choice, choose
from benchmarks.study import marks
from benchmarks.study.layout import Layout
from benchmarks.study.slices.tune_slice import TuneSlice
from benchmarks.tuning.dev_scores import score_on_dev
from benchmarks.tuning.inputs import gather_inputs
from benchmarks.tuning.parzen import search
from benchmarks.tuning.points import WORK, Point, fit_point, learning_curve, list_points, prepare_workspace
from benchmarks.tuning.search import Rule, make_rule, make_scorer
from frism.errors import report_errors
from frism.files import atomic_write, write_json
from frism.merging import on_load
from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.progress import log_steps
from frism.triples.triple import Triple

log = logging.getLogger("benchmarks.stages.tune")
DevQuestions = Mapping[str, Sequence[Item]]  # by benchmark
COLUMNS = ["variant", "point", "params", "benchmark", "axis", "group", "n", "correct", "score"]


def run(
    study: TuneSlice, variant: str, layout: Layout, code: str = "", engine: LateEngine | None = None
) -> None:
    """Fit, choose and record one variant of a study.

    Args:
        code: digest of the code that fits and merges, part of the recipe.
        engine: what answers, where it goes on to other questions; the default is opened for this alone.

    Raises UserError for a variant that cannot be made, before anything is fitted where possible.
    """
    items, settings = layout.items(find_variant(study.variants, variant)), study.variants[variant]
    triple = open_triple(layout, study.triple, settings.scope or study.scope, base=settings.base)
    names = [d.name for d in map(find_benchmark, study.benchmarks) if d.on_dev]
    questions = reading.load_items(items, "dev", names)
    recipe = None
    if settings.checkpoint is not None:
        recipe = Recipe.from_checkpoint(triple, settings.checkpoint, seed=study.seed, code=code)
        assert recipe.checkpoint is not None
        check_planned(layout, settings.checkpoint, recipe.checkpoint.digest, settings.checkpoint)
    engine = engine or make_late_engine(triple, recipe, study.engine.at(settings.served), items)
    if recipe is not None:
        points = [Point(recipe, Fitted(), layout.variant(variant, 0))]
        recipe.save(points[0].folder, Fitted())  # the oracle asks points, and this is its only one
    else:
        points = fit_points(study, variant, triple, layout, code, questions, engine)
    dev = score_points(variant, triple, layout, points, questions, engine)
    choice = choose_point(study, variant, layout, dev)
    write_variant(study, triple, layout, layout.variant(variant), points[choice.point], dev, choice)


def fit_points(
    study: TuneSlice,
    variant: str,
    triple: Triple,
    layout: Layout,
    code: str,
    questions: DevQuestions,
    engine: LateEngine,
) -> list[Point]:
    """Fit every point of a variant's grid, or take up what an earlier run fitted for the same inputs."""
    settings, out = study.variants[variant], layout.variant(variant)
    assert settings.method is not None
    method, spectrum = find(settings.method), study.spectrum.settings
    reference = layout.variant(settings.reference) if settings.reference else None
    fitting, identity = gather_inputs(
        study, method, triple, reference=reference, spectra=layout.spectra, dev=questions, scope=triple.scope,
        calibration=settings.calibration,
    )  # fmt: skip
    inputs = [triple.digest, method.name, code, identity, triple.scope, study.seed, spectrum.model_dump()]
    # The model that learns and the model that answers are never in memory together.
    release = engine.close if "calibration" in method.needs else None
    workspace, scorer = prepare_workspace(out, inputs), None
    points: list[Point] = []
    if "dev" in method.needs:
        rule = _read_rule(study, layout)
        scorer = make_scorer(engine, triple, questions, rule, workspace, layout.spectra)

    def fit(number: int, params: Mapping[str, Any]) -> Point:
        log.info("point %d of %d: %s", number + 1, len(settings.points), json.dumps(params))
        point = fit_point(
            method, params, replace(fitting, workspace=workspace, report=log_steps(log)),
            code=f"{code}:{identity}", folder=layout.variant(variant, number), spectrum=spectrum,
            scorer=scorer, base=settings.base, release=release,
        )  # fmt: skip
        if release is not None:
            free_memory()  # of the model that learned
        return point

    if settings.search is None:
        grid = list_points(method, settings.params, settings.grid)
        points = [fit(number, params) for number, params in enumerate(grid)]
    else:
        rule = _read_rule(study, layout)

        def score(number: int, params: Mapping[str, Any]) -> float:
            points.append(fit(number, params))
            means = score_on_dev(engine, triple, points[-1], questions, variant, layout.spectra)
            return rule(means).objective

        search(method, settings.params, settings.search, study.seed, score)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return points


def _read_rule(study: TuneSlice, layout: Layout) -> Rule:
    """Read what a search goes by: the perception of the unmodified model, and how much of it may be lost."""
    unmodified = pd.read_csv(layout.variant(study.unmodified) / "dev.csv")
    return make_rule(unmodified, study.selection.perception_budget)


def score_points(
    variant: str,
    triple: Triple,
    layout: Layout,
    points: Sequence[Point],
    questions: DevQuestions,
    engine: LateEngine,
) -> pd.DataFrame:
    """Answer and score the dev questions with every point: a row per point and benchmark."""
    rows = []
    for number, point in enumerate(points):
        scores = score_on_dev(engine, triple, point, questions, variant, layout.spectra)
        params = json.dumps(point.recipe.params, sort_keys=True)
        rows.append(scores.assign(variant=variant, point=number, params=params))
    dev = pd.concat(rows, ignore_index=True)
    counts = sorted(str(column) for column in dev if str(column).startswith(marks.ON_DEV))
    return dev[[*COLUMNS, *counts]].fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int))


def choose_point(study: TuneSlice, variant: str, layout: Layout, dev: pd.DataFrame) -> Choice:
    """Choose the best point within the perception budget of the unmodified model."""
    unmodified = dev
    if variant != study.unmodified:
        unmodified = pd.read_csv(layout.variant(study.unmodified) / "dev.csv")
    rule = study.selection
    third = None if rule.third_axis is None else (rule.third_axis, rule.third_budget)
    return choose(dev, unmodified, budget=rule.perception_budget, third=third)


def write_variant(
    study: TuneSlice,
    triple: Triple,
    layout: Layout,
    out: Path,
    point: Point,
    dev: pd.DataFrame,
    choice: Choice,
) -> None:
    """Write a variant's scores, norms, learning curve and choice, and its recipe last."""
    device = study.engine.torch_device
    norms = on_load.measure_injected_norms(triple, point.recipe, point.fitted, device, layout.spectra)
    _write_csv(dev, out / "dev.csv")
    _write_csv(
        pd.DataFrame({"tensor": list(norms), "injected_norm": list(norms.values())}), out / "norms.csv"
    )
    if len(curve := learning_curve(point.fitted)):
        _write_csv(curve, out / "learning.csv")
    write_json(out / "choice.json", choice.to_dict())
    point.recipe.save(out, point.fitted)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    code: Annotated[str, typer.Option(help="digest of the code that fits and merges")] = "",
) -> None:
    """Fit a variant and choose its coefficients."""
    begin(variant)
    run(TuneSlice.read(study), variant, Layout.beside(study), code)


if __name__ == "__main__":
    typer.run(main)
