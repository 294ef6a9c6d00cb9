"""Take a variant through a study: fit it, choose its coefficients on dev, answer the test and text questions.

python -m benchmarks.stages.answer --study results/miniature/study.json --variant V --code DIGEST
One process and one loaded model for all of it. Answers grow in journal/ line by line and are copied to
predictions/ when they are complete; what an earlier run finished is taken up, and where nothing is missing no
model is loaded. costs/ says what each stage took.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering import multi_gpu
from benchmarks.answering.answer import make_late_engine, predict
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import publish
from benchmarks.questions import reading
from benchmarks.stages import text, tune
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.stages.stage_cost import StageCost
from benchmarks.study.entry import list_names
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import report_errors
from frism.method.recipe import Recipe


def run(record: Path, variant: str, code: str = "") -> None:
    """Take one variant through dev, test and text.

    Args:
        record: the study's record, study.json.
        code: digest of the code that fits and merges, part of the recipe.

    Raises UserError for a variant that cannot be made or asked.
    """
    layout, fit = Layout.beside(record), TuneSlice.read(record)
    engine = make_engine(fit, variant, layout)
    try:
        with StageCost(layout.costs("tune", variant), engine, since_start=True):
            tune.run(fit, variant, layout, code, engine)
        with StageCost(layout.costs("predict", variant), engine):
            answer_test(record, variant, layout, engine)
        words = TextSlice.read(record)
        if words.text:
            with StageCost(layout.costs("text", variant), engine):
                text.ask(words, variant, layout, engine)
    finally:
        engine.close()


def make_engine(study: TuneSlice, variant: str, layout: Layout) -> LateEngine:
    """Hold the engine that answers for a variant from dev to text."""
    triple, recipe = study.triple.open(study.scope), None
    checkpoint = study.variants[variant].checkpoint
    if checkpoint is not None:
        recipe = Recipe.from_checkpoint(triple, checkpoint, seed=study.seed)
    settings = study.engine.at(study.variants[variant].served)
    return make_late_engine(triple, recipe, settings, layout.items(find_variant(study.variants, variant)))


def answer_test(record: Path, variant: str, layout: Layout, engine: LateEngine) -> None:
    """Answer the test questions with a tuned variant."""
    study, journal = PredictSlice.read(record), layout.journal(variant)
    settings = study.engine.at(study.variants[variant].served)
    journal.parent.mkdir(parents=True, exist_ok=True)
    if settings.name == "transformers" and settings.devices > 1:
        engine.close()
        multi_gpu.predict_in_parts({"study": record, "variant": variant, "split": "test"}, settings, journal)
    else:
        items = layout.items(find_variant(study.variants, variant))
        recipe, fitted = Recipe.load(layout.variant(variant))
        questions = reading.load_items(items, "test", list_names(study.benchmarks))
        triple = study.triple.open(recipe.scope)
        predict(
            triple, recipe, fitted, questions, settings, items, journal, spectra=layout.spectra, engine=engine
        )
    publish(journal, layout.predictions(variant))


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    code: Annotated[str, typer.Option(help="digest of the code that fits and merges")] = "",
) -> None:
    """Fit a variant, choose its coefficients, and answer all questions with it."""
    begin(variant)
    run(study, variant, code)


if __name__ == "__main__":
    typer.run(main)
