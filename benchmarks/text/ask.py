"""Ask a language model text-only questions through lm-eval, and score its answers."""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from benchmarks.answering import keys
from benchmarks.registry.definition import Definition
from benchmarks.scoring import extraction
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.text import task_configs
from benchmarks.text.models import TextModel, device_of
from frism.errors import UserError
from frism.files import sha256_file

if TYPE_CHECKING:  # lm-eval loads slowly
    from benchmarks.text.generated_task import Generated


COLUMNS = ("variant", "benchmark", "index", "cluster", "answer", "raw", "extracted", "rule", "correct",
           "correct_raw", "truncated", "repeated", "tokens")  # fmt: skip


def tasks_of(
    definitions: Sequence[Definition], questions: int | None, seed: int, mirror: Path | None
) -> "dict[str, Generated]":
    """lm-eval's tasks of some benchmarks, by name. Raises UserError for what cannot be asked."""
    from benchmarks.text.generated_task import Generated

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return {
        name: Generated(name, config, definition, questions, seed, mirror)
        for definition in definitions
        for name, config in task_configs.configs(definition).items()
    }


def ask(
    who: TextModel,
    tasks: "Mapping[str, Generated]",
    settings: EngineSettings,
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

    from benchmarks.text import language_model as lm

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


def fingerprint(who: TextModel, settings: EngineSettings) -> dict[str, Any]:
    """What decides, beside weights and prompts, which tokens come out."""
    from benchmarks.text.language_model import VERSION

    device = device_of(settings)
    return {
        "engine": f"text {VERSION}",
        "dtype": settings.dtype,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "decoding": {"greedy": True, "ends": sorted(who.ends)},
        "libraries": {name: version(name) for name in ("torch", "transformers", "lm_eval")},
    }


def _row(variant: str, task: "Generated", model: Any, samples: dict[str, Any]) -> tuple[Any, ...]:
    from benchmarks.text.generated_task import EXTRACTED

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
            " choose another task, or name one of its metrics in benchmarks/text."
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
