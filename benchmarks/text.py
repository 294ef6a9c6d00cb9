"""The text column: text-only questions, asked of a language model or of a VLM's own tower through lm-eval.

python -m benchmarks.text --triple JSON (--recipe FOLDER | --model base|lrm|vlm) --tasks gsm8k,mini_total
    --questions 400 --seed 0 --engine JSON --out text/V.csv --journal journal/text/V.jsonl
lm-eval gives data, prompts and metrics; the decoding loop, the extractor and the journal are ours. Answers
that the journal holds are not generated again: a changed extractor scores them anew without a model.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import torch
import typer

from benchmarks import answer_csv, keys
from benchmarks.engines.settings import Settings
from benchmarks.judging import extraction
from benchmarks.predict import triple_of
from benchmarks.registry import Definition, find_all
from benchmarks.tasks import installed
from benchmarks.tasks.owners import Owner, device_of, owner
from frism.errors import UserError, reported
from frism.files import atomic_write, read_json, sha256_file
from frism.recipes import Recipe

if TYPE_CHECKING:  # lm-eval loads slowly
    from benchmarks.tasks.generated import Generated

COLUMNS = ("variant", "benchmark", "index", "cluster", "answer", "raw", "extracted", "rule", "correct",
           "correct_raw", "truncated", "repeated", "tokens")  # fmt: skip


def tasks_of(
    definitions: Sequence[Definition], questions: int | None, seed: int, mirror: Path | None
) -> "dict[str, Generated]":
    """lm-eval's tasks of some benchmarks, by name. Raises UserError for what cannot be asked."""
    from benchmarks.tasks.generated import Generated

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return {
        name: Generated(name, config, definition, questions, seed, mirror)
        for definition in definitions
        for name, config in installed.configs(definition).items()
    }


def ask(
    who: Owner,
    tasks: "Mapping[str, Generated]",
    settings: Settings,
    journal: Path,
    decided: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """One row per question (COLUMNS, and seconds). `correct` and `correct_raw` are the task's own metric on
    the extracted answer and on what lm-eval's first pattern finds in the raw text.

    Args:
        journal: the predictions file that answers are kept in; its provenance is written beside it.
        decided: the `fingerprint` of stored answers, where they are checked on another machine.

    Raises UserError when a metric is no number in [0, 1].
    """
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    from benchmarks.tasks import language_model as lm

    def tower() -> Any:
        who.chat.tokenizer.padding_side = "left"
        return lm.Tower(
            who.load(), who.ends, tokenizer=who.chat.tokenizer, batch_size=settings.batch_size,
            device=str(device_of(settings)),
        )  # fmt: skip

    def named(task: str, place: int) -> tuple[str, str, str]:
        found = tasks[task]
        return found.definition.name, found.index(place), _target(found, place)

    language_model = lm.Journalled(
        who.chat, tower, settings, who.origin, decided or fingerprint(who, settings), journal, named
    )
    manager = TaskManager(include_defaults=False)
    result = evaluate(
        language_model, manager.load(list(tasks.values())), apply_chat_template=True, bootstrap_iters=0,
        log_samples=True,
    )  # fmt: skip
    rows = [
        _row(who.name, task, language_model, samples)
        for name, task in tasks.items()
        for samples in _by_question(result["samples"][name])
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "seconds"])


def fingerprint(who: Owner, settings: Settings) -> dict[str, Any]:
    """What decides, beside weights and prompts, which tokens come out."""
    from benchmarks.tasks.language_model import VERSION

    device = device_of(settings)
    return {
        "engine": f"text {VERSION}",
        "dtype": settings.dtype,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "decoding": {"greedy": True, "ends": sorted(who.ends)},
        "libraries": {name: version(name) for name in ("torch", "transformers", "lm_eval")},
    }


def _row(variant: str, task: "Generated", model: Any, samples: dict[str, Any]) -> tuple[Any, ...]:
    from benchmarks.tasks.generated import EXTRACTED

    place = next(iter(samples.values()))["doc_id"]
    line = model.lines[task.definition.name, task.index(place)]
    answer, rule = task.found[place]
    raw_pattern = next(name for name in samples if name != EXTRACTED)
    correct, correct_raw = (_score(task, samples[name]) for name in (EXTRACTED, raw_pattern))
    return (
        variant, task.definition.name, task.index(place), task.cluster(place), _target(task, place), line.raw,
        answer, rule, correct, correct_raw, line.truncated, extraction.repeated(line.raw), line.tokens,
        line.seconds,
    )  # fmt: skip


def _by_question(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples of every question by the name of lm-eval's filter, questions in order."""
    grouped: dict[int, dict[str, Any]] = {}
    for sample in samples:
        grouped.setdefault(sample["doc_id"], {})[sample["filter"]] = sample
    return [grouped[place] for place in sorted(grouped)]


def _score(task: "Generated", sample: Mapping[str, Any]) -> float:
    try:
        score = float(sample[task.metric])
    except (KeyError, TypeError, ValueError):
        score = -1.0
    if not 0 <= score <= 1:
        raise UserError(
            f"lm-eval's task {task.config.task} gives no score in 0 to 1 per question (metric {task.metric}):"
            " choose another task, or name one of its metrics in benchmarks/tasks."
        )
    return score


def _target(task: "Generated", place: int) -> str:
    target = task.doc_to_target(task.eval_docs[place])
    return " ".join(map(str, target)) if isinstance(target, list) else str(target)


def check_data(tasks: "Mapping[str, Generated]") -> dict[str, Any]:
    """Digests of what is asked: of the data files, and of every benchmark's questions and gold answers.

    Raises UserError when a definition's `sha256` names one of them with another value.
    """
    files: dict[str, str] = {}
    asked: dict[str, list[Any]] = {}
    for task in tasks.values():
        files |= task.files
        places = range(len(task.positions))
        asked.setdefault(task.definition.name, []).extend(
            [task.index(p), task.doc_to_text(task.eval_docs[p]), _target(task, p)] for p in places
        )
    questions = {name: keys.digest(rows) for name, rows in asked.items()}
    for task in tasks.values():
        found = {**task.files, "questions": questions[task.definition.name]}
        for label, expected in task.definition.sha256.items():
            if label in found and found[label] != expected:
                raise UserError(
                    f"{task.definition.name}: {label} has sha256 {found[label]}, not {expected} as pinned:"
                    " restore the data, or pin the new ones."
                )
    return {"files": files, "questions": questions}


def provenance(tasks: "Mapping[str, Generated]", digests: Mapping[str, Any], journal: Path) -> dict[str, Any]:
    """What the scores of a text file come from: predictions, questions, extractor, tasks and metrics."""
    return {
        "predictions": sha256_file(journal),
        "extractor": extraction.VERSION,
        "lm_eval": version("lm_eval"),
        "tasks": {
            name: {
                "benchmark": task.definition.name, "metric": task.metric, "version": task.VERSION,
                "answers": task.answers, "budget": task.budget,
            }
            for name, task in tasks.items()
        },
        **digests,
    }  # fmt: skip


def _refuse() -> Any:
    raise UserError("the stored answers are not those to these questions with these weights and settings.")


def _number(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--questions must be a number or all, not {text!r}.")
    return int(text)


@reported()
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
    settings, definitions = Settings.parse(engine), find_all(tasks)
    asked = tasks_of(definitions, _number(questions), seed, data)
    digests = check_data(asked)
    scope = Recipe.load(recipe)[0].scope if recipe else "mat"
    opened = triple_of(triple, scope, text_receiver=True)
    journal = journal or out.with_suffix(".answers.jsonl")
    who = owner(opened, model, recipe, settings, spectra)
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
