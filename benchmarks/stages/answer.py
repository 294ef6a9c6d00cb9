"""Take variants through a study: fit, choose coefficients on dev, answer the test and the text questions.

python -m benchmarks.stages.answer --study results/miniature/study.json --variant V --code DIGEST
One process and one loaded model for all of it; several variants (--variant V --code C --variant W --code D)
take turns in it, and --stage names some of the stages alone. Answers grow in journal/ line by line and are
copied to predictions/ when they are complete; what an earlier run finished is taken up, and where nothing is
missing no model is loaded. costs/ says what each stage took.
"""

from collections.abc import Collection, Mapping, Sequence
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
from benchmarks.stages.open_triple import open_triple
from benchmarks.stages.stage_cost import StageCost
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.entry import list_names
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError, report_errors
from frism.method.recipe import Recipe

STAGES = ("tune", "predict", "oracle", "text")


def run(
    record: Path, codes: Mapping[str, str], *, oracle: bool = False, only: Collection[str] = STAGES
) -> None:
    """Take variants through dev, test and text, one after the other.

    Args:
        record: the study's record, study.json.
        codes: by variant, in the order to go, the digest of the code that fits and merges it, which is part
            of its recipe.
        oracle: whether every grid point answers the test questions, too, for the table of that name.
        only: the stages to go through, of those that the study has.

    Raises UserError for a variant that cannot be made or asked.
    """
    study, test = TuneSlice.read(record), PredictSlice.read(record)
    words = TextSlice.read(record)
    asked = {"text": bool(words.text) and words.text_of == "all", "oracle": oracle}
    stages = [stage for stage in STAGES if stage in only and asked.get(stage, True)]
    # Where dev is answered otherwise (greedily, and test by samples), an engine answers either or.
    rounds = [stages]
    if study.engine != test.engine:
        rounds = [[name for name in stages if (name == "tune") is tuning] for tuning in (True, False)]
    turns = Turns(record, test.engine)
    try:
        for number, names in enumerate(filter(None, rounds)):
            turns.settings = study.engine if "tune" in names else test.engine
            for variant, code in codes.items():
                begin(variant)
                turns.take(variant, code, names, first=number == 0 and variant == next(iter(codes)))
    finally:
        turns.close()


class Turns:
    """Takes variants through stages, one after the other, with one engine as long as that can answer.

    Args:
        record: the study's record.
        settings: the engine's; may be set anew between variants.
    """

    def __init__(self, record: Path, settings: EngineSettings) -> None:
        self.record, self.layout, self.settings = record, Layout.beside(record), settings
        self._engine: LateEngine | None = None
        self._home: tuple[object, ...] = ()

    def take(self, variant: str, code: str, stages: Sequence[str], *, first: bool) -> None:
        """Take a variant through some stages. `first`: the process began for them."""
        engine = self._open(variant)
        for stage in stages:
            begins = first and stage == stages[0]
            with StageCost(self.layout.costs(stage, variant), engine, since_start=begins):
                if stage == "tune":
                    tune.run(TuneSlice.read(self.record), variant, self.layout, code, engine)
                elif stage == "predict":
                    answer_test(self.record, variant, self.layout, engine)
                    publish(self.layout.journal(variant), self.layout.predictions(variant))
                elif stage == "oracle":
                    for point in range(len(TuneSlice.read(self.record).variants[variant].points)):
                        answer_test(self.record, variant, self.layout, engine, point)
                else:
                    text.ask(TextSlice.read(self.record), variant, self.layout, engine)

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def _open(self, variant: str) -> LateEngine:
        """Hold the engine that answers for a variant: merges into V share one.

        Other checkpoints and bases, questions asked in another way, and variants served elsewhere have their
        own.
        """
        study = TuneSlice.read(self.record)
        items, own = find_variant(study.variants, variant), study.variants[variant]
        home = (items, own.checkpoint, own.served, own.base, self.settings)
        if self._engine is None or self._home != home:
            self.close()
            triple, recipe = open_triple(self.layout, study.triple, study.scope, base=own.base), None
            if own.checkpoint is not None:
                recipe = Recipe.from_checkpoint(triple, own.checkpoint, seed=study.seed)
            settings = self.settings.at(own.served)
            self._engine = make_late_engine(triple, recipe, settings, self.layout.items(items))
            self._home = home
        return self._engine


def answer_test(
    record: Path, variant: str, layout: Layout, engine: LateEngine, point: int | None = None
) -> None:
    """Answer the test questions with a tuned variant, or with one point of its grid."""
    study = PredictSlice.read(record)
    journal = layout.journal(variant) if point is None else layout.journal(str(point), f"points/{variant}")
    settings = study.engine.at(study.variants[variant].served)
    journal.parent.mkdir(parents=True, exist_ok=True)
    if settings.name == "transformers" and settings.devices > 1:
        engine.close()
        options = {"study": record, "variant": variant, "split": "test"}
        multi_gpu.predict_in_parts(
            options if point is None else {**options, "point": point}, settings, journal
        )
    else:
        items = layout.items(find_variant(study.variants, variant))
        recipe, fitted = Recipe.load(layout.variant(variant, point))
        questions = reading.load_items(items, "test", list_names(study.benchmarks))
        triple = open_triple(layout, study.triple, recipe.scope, base=recipe.base)
        predict(
            triple, recipe, fitted, questions, settings, items, journal, spectra=layout.spectra, engine=engine
        )


@report_errors()
def main(
    study: StudyFile,
    variant: Annotated[list[str], typer.Option(help="a variant of the study; may be given several times")],
    code: Annotated[list[str], typer.Option(help="digest of the code that makes it, for each")],
    oracle: Annotated[
        bool, typer.Option("--oracle", help="every grid point answers the test questions")
    ] = False,
    stage: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(STAGES)}: this alone; may be given several times")
    ] = None,
) -> None:
    """Fit variants, choose their coefficients, and answer all questions with them."""
    begin(variant[0])
    if len(code) != len(variant):
        raise UserError(
            f"{len(variant)} variants with {len(code)} digests: give one --code for each --variant."
        )
    if unknown := sorted(set(stage or ()) - set(STAGES)):
        raise UserError(f"there is no stage '{unknown[0]}': name one of {', '.join(STAGES)}.")
    run(study, dict(zip(variant, code, strict=True)), oracle=oracle, only=stage or STAGES)


if __name__ == "__main__":
    typer.run(main)
