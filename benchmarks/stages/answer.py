"""Take variants through a study: fit, choose coefficients on dev, answer the test and the text questions.

python -m benchmarks.stages.answer --study results/miniature/study.json --variant V --code DIGEST
One process and one loaded model for all of it; several variants (--variant V --code C --variant W --code D)
take turns in it. Answers grow in journal/ line by line and are copied to predictions/ when they are complete;
what an earlier run finished is taken up, and where nothing is missing no model is loaded. costs/ says what
each stage took.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering import multi_gpu
from benchmarks.answering.answer import make_late_engine, predict
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import publish
from benchmarks.questions import reading
from benchmarks.stages import text, tune
from benchmarks.stages.command import StudyFile, begin, find_variant
from benchmarks.stages.stage_cost import StageCost
from benchmarks.study.entry import list_names
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError, report_errors
from frism.method.recipe import Recipe


def run(record: Path, codes: Mapping[str, str]) -> None:
    """Take variants through dev, test and text, one after the other.

    Args:
        record: the study's record, study.json.
        codes: by variant, in the order to go, the digest of the code that fits and merges it, which is part
            of its recipe.

    Raises UserError for a variant that cannot be made or asked.
    """
    layout, study, words = Layout.beside(record), TuneSlice.read(record), TextSlice.read(record)
    engine, holds = None, None
    try:
        for number, (variant, code) in enumerate(codes.items()):
            begin(variant)
            # Merges into V share it; other checkpoints, what is served elsewhere, and questions asked in
            # another way have their own.
            asked = study.variants[variant]
            home = find_variant(study.variants, variant), asked.checkpoint, asked.served
            if engine is None or holds != home:
                if engine is not None:
                    engine.close()
                engine, holds = make_engine(study, variant, layout), home
            with StageCost(layout.costs("tune", variant), engine, since_start=number == 0):
                tune.run(study, variant, layout, code, engine)
            with StageCost(layout.costs("predict", variant), engine):
                answer_test(record, variant, layout, engine)
            if words.text:
                with StageCost(layout.costs("text", variant), engine):
                    text.ask(words, variant, layout, engine)
    finally:
        if engine is not None:
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
    variant: Annotated[list[str], typer.Option(help="a variant of the study; may be given several times")],
    code: Annotated[list[str], typer.Option(help="digest of the code that makes it, for each")],
) -> None:
    """Fit variants, choose their coefficients, and answer all questions with them."""
    begin(variant[0])
    if len(code) != len(variant):
        raise UserError(
            f"{len(variant)} variants with {len(code)} digests: give one --code for each --variant."
        )
    run(study, dict(zip(variant, code, strict=True)))


if __name__ == "__main__":
    typer.run(main)
