"""The text column: text-only questions, asked of a language model or of a VLM's own tower through lm-eval.

python -m benchmarks.stages.text --triple JSON (--recipe FOLDER | --model base|lrm|vlm)
    --tasks gsm8k,mini_total
    --questions 400 --seed 0 --engine JSON --out text/V.csv --journal journal/text/V.jsonl
lm-eval gives data, prompts and metrics; the decoding loop, the extractor and the journal are ours. Answers
that the journal holds are not generated again: a changed extractor scores them anew without a model.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.answering import keys
from benchmarks.registry.lookup import find_all
from benchmarks.scoring import answer_csv
from benchmarks.stages.arguments import triple_of
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.text.ask import ask, check_data, provenance, tasks_of
from benchmarks.text.models import find_model
from frism.errors import UserError, report_errors
from frism.files import atomic_write, read_json
from frism.method.recipe import Recipe

if TYPE_CHECKING:  # lm-eval loads slowly
    pass


def _refuse() -> Any:
    raise UserError("the stored answers are not those to these questions with these weights and settings.")


def _number(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--questions must be a number or all, not {text!r}.")
    return int(text)


@report_errors()
def main(
    triple: Annotated[str, typer.Option(help="checkpoint folders as JSON: base, vlm, lrm")],
    tasks: Annotated[str, typer.Option(help="benchmarks, separated by commas, or a JSON list")],
    engine: Annotated[str, typer.Option(help="the engine's settings as JSON")],
    out: Annotated[Path, typer.Option(help="CSV, one row per question")],
    recipe: Annotated[Path | None, typer.Option(help="a variant's folder, with recipe.json")] = None,
    model: Annotated[str | None, typer.Option(help="or a model of the triple: base, lrm, vlm")] = None,
    questions: Annotated[str, typer.Option(help="per benchmark: a number, or all")] = "400",
    seed: Annotated[int, typer.Option(help="of the questions' draw")] = 0,
    data: Annotated[Path | None, typer.Option(help="a mirror of the hub's data sets")] = None,
    journal: Annotated[Path | None, typer.Option(help="JSON lines; default: beside OUT")] = None,
    spectra: Annotated[Path | None, typer.Option(help="the folder that keeps spectra")] = None,
    stored: Annotated[bool, typer.Option("--stored", help="fail if an answer must be generated")] = False,
) -> None:
    """Ask text-only questions."""
    settings, definitions = EngineSettings.parse(engine), find_all(tasks)
    asked = tasks_of(definitions, _number(questions), seed, data)
    digests = check_data(asked)
    scope = Recipe.load(recipe)[0].scope if recipe else "mat"
    opened = triple_of(triple, scope, text_receiver=True)
    journal = journal or out.with_suffix(".answers.jsonl")
    who = find_model(opened, model, recipe, settings, spectra)
    decided = None
    if stored:
        who, decided = replace(who, load=_refuse), read_json(keys.provenance_path(journal)).get("engine")
    table = ask(who, asked, settings, journal, decided)
    costs = table[["variant", "benchmark", "index", "tokens", "seconds"]]
    answer_csv.write(costs, out.with_suffix(".cost.csv"))
    with atomic_write(out.with_suffix(".provenance.json")) as temporary:
        temporary.write_text(json.dumps(provenance(asked, digests, journal), indent=1) + "\n")
    answer_csv.write(table.drop(columns="seconds"), out)


if __name__ == "__main__":
    typer.run(main)
