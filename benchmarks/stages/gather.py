"""Gather a variant's test answers, which several jobs gave, into one file.

python -m benchmarks.stages.gather --study results/x/study.json --variant V --out predictions/V.jsonl
    shards/V/1of2.jsonl shards/V/2of2.jsonl
The file is the one that a single job would have written, but for the seconds of its answers. Before that the
answers are checked: each by its sum, all by the variant's recipe, and that every question has one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering.joining import join_parts
from benchmarks.answering.keys import get_provenance_path, recompute_keys
from benchmarks.answering.matching import match_predictions
from benchmarks.answering.predictions import publish, read_predictions
from benchmarks.answering.sampling import list_samples
from benchmarks.questions import reading
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.study.entry import list_names
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from frism.errors import UserError, report_errors
from frism.files import read_json
from frism.method.recipe import Recipe


def run(study: PredictSlice, variant: str, layout: Layout, parts: Sequence[Path], out: Path) -> None:
    """Join the parts and check the whole. Raises UserError for missing answers, or another variant's."""
    recipe, _ = Recipe.load(layout.variant(variant))
    for part in parts:
        found = read_json(get_provenance_path(part)).get("origin", {}).get("recipe")
        if found != recipe.key:
            raise UserError(f"{part} holds answers of another recipe than {variant} has: answer it again.")
        recompute_keys(part)
    settings = study.engine.at(study.variants[variant].served)
    scratch = layout.journal(variant)  # nobody else's, as its parts lie elsewhere
    scratch.parent.mkdir(parents=True, exist_ok=True)
    join_parts(parts, scratch, settings.tolerated_share)
    items = reading.load_items(
        layout.items(find_variant(study.variants, variant)), "test", list_names(study.benchmarks)
    )
    drawn = {name: list_samples(group, settings.samples) for name, group in items.items()}
    match_predictions(drawn, read_predictions(scratch), scratch)
    publish(scratch, out)


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    out: Annotated[Path, typer.Option(help="JSON lines of all answers")],
    parts: Annotated[list[Path], typer.Argument(help="JSON lines, one file per job, in their order")],
) -> None:
    """Gather answers."""
    begin(variant)
    run(PredictSlice.read(study), variant, Layout.beside(study), parts, out)


if __name__ == "__main__":
    typer.run(main)
