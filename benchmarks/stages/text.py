"""Ask text-only questions of a language model, or of a VLM's own tower, through lm-eval.

python -m benchmarks.stages.text --study results/miniature/study.json --variant V
V is `base` or `lrm` of the triple; a variant's text answers come from `benchmarks.stages.answer`, which calls
this. Scores go to text/V.csv, answers to journal/text/ and predictions/text/. lm-eval gives data, prompts and
metrics; the decoding loop, the extractor and the journal are ours. Answers that the journal holds are not
generated again: a changed extractor scores them anew without a model.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from benchmarks.answering import keys
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import publish
from benchmarks.registry.lookup import find
from benchmarks.scoring import answer_csv
from benchmarks.stages.command import StudyFile, begin
from benchmarks.stages.open_triple import open_triple
from benchmarks.study.engine_settings import LOCAL
from benchmarks.study.layout import Layout
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.text.ask import ask_questions, check_data, describe_provenance
from benchmarks.text.models import find_model
from benchmarks.text.tasks import make_tasks
from frism.errors import UserError, report_errors
from frism.files import read_json, write_json
from frism.method.recipe import Recipe

PARENTS = ("base", "lrm")


def ask(settings: TextSlice, owner: str, layout: Layout, engine: LateEngine | None = None) -> None:
    """Ask one owner into the study's own files; see `run`."""
    journal = layout.journal(owner, "text")
    journal.parent.mkdir(parents=True, exist_ok=True)
    run(settings, owner, layout, layout.text(owner), journal, engine=engine)
    publish(journal, layout.predictions(owner, "text"))


def run(
    settings: TextSlice,
    owner: str,
    layout: Layout,
    out: Path,
    journal: Path,
    *,
    stored: bool = False,
    engine: LateEngine | None = None,
) -> None:
    """Ask one owner, a variant or a language model of the triple, and write its scores, costs and provenance.

    Args:
        engine: a local engine whose model answers, or vLLM, which does; without one, a model is loaded for
            this alone.

    Raises UserError for data that are not those of the definitions, and where an answer is missing although
    all are to be `stored`.
    """
    number = None if settings.questions.text == "all" else settings.questions.text
    mirror = Path(settings.data.folder) if settings.data.folder else None
    tasks = make_tasks([find(entry) for entry in settings.text], number, settings.seed, mirror)
    digests = check_data(tasks)
    folder = None if owner in PARENTS else layout.variant(owner)
    recipe, fitted = Recipe.load(folder) if folder else (None, None)
    triple = open_triple(
        layout, settings.triple, recipe.scope if recipe else "mat", base=recipe.base if recipe else None,
        text_receiver=True,
    )  # fmt: skip
    model = find_model(triple, None if folder else owner, folder, settings.engine, layout.spectra)
    fingerprint = None
    if engine is not None and recipe is not None:
        engine.turn_into(triple, recipe, fitted, layout.spectra)
        if settings.engine.name in LOCAL:
            model = replace(model, load=lambda: ((held := engine.engine).model, held.partner))
    if stored:
        model = replace(model, load=_refuse)
        fingerprint = read_json(keys.get_provenance_path(journal)).get("engine")
    table = ask_questions(model, tasks, settings.engine, journal, fingerprint, engine if recipe else None)
    sample = ["sample"] if settings.engine.sampling else []
    costs = table[["variant", "benchmark", "index", *sample, "tokens", "seconds"]]
    answer_csv.write_csv(costs, out.with_suffix(".cost.csv"))
    write_json(out.with_suffix(".provenance.json"), describe_provenance(tasks, digests, journal))
    answer_csv.write_csv(table.drop(columns="seconds"), out)


def _refuse() -> NoReturn:
    raise UserError(
        "the stored answers belong to other questions, weights or settings: delete them and run again."
    )


@report_errors()
def main(
    study: StudyFile,
    variant: Annotated[str, typer.Option(help="a variant of the study, or base or lrm of its triple")],
) -> None:
    """Ask text-only questions."""
    begin(variant)
    ask(TextSlice.read(study), variant, Layout.beside(study))


if __name__ == "__main__":
    typer.run(main)
