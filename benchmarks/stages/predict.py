"""Answer the questions of one split with one variant, merged on load; resumes where it was stopped.

python -m benchmarks.stages.predict --study results/miniature/study.json --variant V --out journal/V.jsonl
Beside V.jsonl come V.provenance.json, from which every key can be computed again without a model, and
V.batches.jsonl with what every batch cost.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering import multi_gpu
from benchmarks.answering.answer import predict
from benchmarks.answering.predictions import publish
from benchmarks.questions import reading
from benchmarks.stages.command import PointNumber, StudyFile, VariantName, begin, find_variant
from benchmarks.stages.open_triple import open_triple
from benchmarks.study.entry import list_names
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from frism.errors import report_errors
from frism.method.recipe import Recipe


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    out: Annotated[Path, typer.Option(help="JSON lines, appended to")],
    point: PointNumber = None,
    split: Annotated[str, typer.Option(help="which questions")] = "test",
    part: Annotated[str, typer.Option(help="i/n: only every n-th batch from the i-th on")] = "0/1",
    publish_as: Annotated[
        Path | None, typer.Option("--publish-as", help="where the answers are copied when all are there")
    ] = None,
) -> None:
    """Answer a split's questions with one variant."""
    begin(variant)
    settings, share = PredictSlice.read(study), multi_gpu.parse_share(part)
    asked = find_variant(settings.variants, variant)
    engine, layout = settings.engine.at(settings.variants[variant].served), Layout.beside(study)
    if engine.name == "transformers" and engine.devices > 1 and share == (0, 1):
        options = {"study": study, "variant": variant, "split": split}
        multi_gpu.predict_in_parts(options if point is None else {**options, "point": point}, engine, out)
        return
    items = layout.items(asked)
    recipe, fitted = Recipe.load(layout.variant(variant, point))
    questions = reading.load_items(items, split, list_names(settings.benchmarks))
    triple = open_triple(layout, settings.triple, recipe.scope, base=recipe.base)
    if publish_as is not None and not out.exists() and layout.journal(variant).is_file():
        shutil.copyfile(
            layout.journal(variant), out
        )  # of another number of parts: it takes up what is its own
    predict(triple, recipe, fitted, questions, engine, items, out, share, layout.spectra)
    if publish_as is not None:
        publish(out, publish_as)


if __name__ == "__main__":
    typer.run(main)
