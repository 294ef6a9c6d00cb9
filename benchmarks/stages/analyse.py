"""Analyse a variant: ask it drawn dev questions under one intervention after the other, and score them.

python -m benchmarks.stages.analyse --study results/miniature_why/study.json --entry knock_out --variant V
writes analyses/ENTRY/V.csv, a row per question and intervention, and V.provenance.json. One process, one
loaded model: all is done by changing it in place and back. Answers grow in journal/analyses/ENTRY/V.jsonl;
what an earlier run finished is taken up, and where nothing is missing no model is loaded. Of an analysis that
reads stored answers no model is loaded at all.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from benchmarks.analyses.measuring import discovery
from benchmarks.analyses.measuring.asking import ask
from benchmarks.analyses.measuring.draw import draw_questions
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.scoring import score_steps
from benchmarks.analyses.measuring.stored_answers import (
    count_in_answers,
    pair_with_answers,
    read_stored_answers,
    score_stored,
)
from benchmarks.analyses.measuring.tracing import Reading, Row, trace_missing
from benchmarks.answering.answer import make_late_engine
from benchmarks.answering.engine import describe_origin
from benchmarks.answering.late_engine import LateEngine
from benchmarks.calibration.load import load_calibration
from benchmarks.questions import reading
from benchmarks.questions.item import Item, read_definition
from benchmarks.registry.lookup import find as find_benchmark
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.stages.open_triple import open_triple
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from frism.errors import UserError, report_errors, suggest
from frism.files import atomic_write, write_json
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

AXES = ("perception", "reasoning")


def run(study: AnalyseSlice, entry: str, variant: str, layout: Layout, code: str = "") -> None:
    """Run one entry of `analyses` for one variant.

    Args:
        code: digest of the code that changes the model, part of the key of every answer.

    Raises UserError for a variant or an entry that the study does not have, before anything is loaded.
    """
    items_of = find_variant(study.variants, variant)
    if entry not in study.analyses:
        raise UserError(
            f"the study has no analysis '{entry}' ({', '.join(study.analyses)})."
            f"{suggest(entry, study.analyses)}"
        )
    settings, own = study.analyses[entry], study.variants[variant]
    analysis = discovery.find(settings.analysis or entry)
    combinations = analysis.expand(settings.params)
    folder = layout.items(items_of)
    items = load_questions(study, entry, folder)
    drawn = draw_questions(items, settings.questions, study.seed)
    out = layout.root / "analyses" / entry
    if analysis.read is not None:
        read = partial(analysis.read, **analysis.signature.build_arguments(combinations[0]))
        answers = read_stored_answers(layout.variant(variant), items)
        _write(count_in_answers(variant, items, drawn, answers, read), out, variant, {"params": combinations})
        return
    recipe, fitted = Recipe.load(layout.variant(variant))
    triple = open_triple(layout, study.triple, recipe.scope, base=recipe.base)
    engine = make_late_engine(triple, recipe, study.engine.at(own.served), folder)
    engine.turn_into(triple, recipe, fitted, layout.spectra)
    origin = {**describe_origin(triple, recipe), "analysis": [analysis.name, code]}
    journal = layout.journal(variant, f"analyses/{entry}")
    if analysis.trace is not None:
        names = (variant, study.unmodified)
        stored = {name: read_stored_answers(layout.variant(name), items) for name in names}
        owner = variant if combinations[0].get("answers") == "own" else study.unmodified
        asked = pair_with_answers(drawn, items, stored[owner])
        ground = make_ground(triple, engine, None, study.seed)
        trace = partial(analysis.trace, ground, **analysis.signature.build_arguments(combinations[0]))
        table = trace_questions(asked, trace, engine, origin, journal, analysis.at_once)
        for column, name in zip(("correct", "correct_vlm"), names, strict=True):
            table = table.merge(score_stored(name, items, stored[name], column), how="left", validate="m:1")
        _write(table.assign(variant=variant), out, variant, {"origin": origin, "params": combinations})
        return
    calibration = study.calibration if analysis.asks_calibration(combinations) else None
    scratch = journal.with_suffix(".scratch")
    ground = make_ground(triple, engine, calibration, study.seed, scratch)
    steps = analysis.list_interventions(ground, combinations)
    try:
        given, fingerprint = ask(engine, drawn, steps, origin, journal)
    finally:
        engine.close()
        shutil.rmtree(scratch, ignore_errors=True)
    table = score_steps(variant, items, drawn, steps, given)
    made = {"origin": origin, "engine": fingerprint, "params": combinations, "interventions": len(steps)}
    _write(table, out, variant, made)


def trace_questions(
    asked: Sequence[tuple[Item, str]],
    trace: Callable[[Sequence[Reading]], list[list[Row]]],
    engine: LateEngine,
    origin: Mapping[str, Any],
    path: Path,
    at_once: int,
) -> pd.DataFrame:
    """Trace questions, each with an answer: a row per question and what the analysis tells apart."""
    settings = engine.settings.model_dump(mode="json", include={"name", "dtype", "device"})
    try:
        known = {**origin, "engine": settings}
        rows = trace_missing(lambda: engine.engine, asked, trace, known, path, at_once)
    finally:
        engine.close()
    axes = {item.benchmark: read_definition(item).axis for item, _ in asked}
    table = pd.DataFrame(rows)
    return table.assign(axis=table["benchmark"].map(axes))


def _write(table: pd.DataFrame, out: Path, variant: str, made: Mapping[str, Any]) -> None:
    """Write a variant's table, and how it was made."""
    with atomic_write(out / f"{variant}.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_json(out / f"{variant}.provenance.json", made)


def load_questions(study: AnalyseSlice, entry: str, folder: Path) -> dict[str, list[Item]]:
    """Load the dev questions on both axes, of the benchmarks that an entry names or of all."""
    definitions = [d for d in map(find_benchmark, study.benchmarks) if d.on_dev and d.axis in AXES]
    named = study.analyses[entry].benchmarks
    return reading.load_items(folder, "dev", [d.name for d in definitions if not named or d.name in named])


def make_ground(
    triple: Triple,
    engine: LateEngine,
    settings: CalibrationSettings | None,
    seed: int,
    scratch: Path | None = None,
) -> Ground:
    """Make what an analysis works on; calibration questions are loaded where it asks some."""
    if settings is None:
        return Ground(triple, lambda: engine.engine.model, seed=seed, scratch=scratch)
    from benchmarks.analyses.measuring.module_means import measure_means

    calibration = load_calibration(settings, seed)

    def measure(paths: list[str], number: int) -> Mapping[str, Any]:
        held = engine.engine
        return measure_means(held.model, held.processor, paths, calibration.questions, number)

    return Ground(triple, lambda: engine.engine.model, measure, calibration.digest, seed, scratch)


@report_errors()
def main(
    study: StudyFile,
    entry: Annotated[str, typer.Option("--entry", help="a name under `analyses` of the study")],
    variant: VariantName,
    code: Annotated[str, typer.Option(help="digest of the code that changes the model")] = "",
) -> None:
    """Ask a variant under interventions, and score it."""
    begin(f"{entry} {variant}")
    run(AnalyseSlice.read(study), entry, variant, Layout.beside(study), code)


if __name__ == "__main__":
    typer.run(main)
