"""Ask a language model text-only questions through lm-eval, and score its answers."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from benchmarks.answering import keys
from benchmarks.answering.engine import open_engine
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.sampling import describe_decoding
from benchmarks.answering.vllm_engine import find_positions
from benchmarks.answering.vllm_model import check_installed
from benchmarks.answering.vllm_plan import describe_vllm
from benchmarks.scoring import extraction
from benchmarks.scoring.repetition import is_repetitive
from benchmarks.scoring.sample_scores import SAMPLE, add_votes
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.marks import RULE as FAILED
from benchmarks.text.engine_tower import EngineTower, open_alone
from benchmarks.text.models import TextModel, choose_device
from frism.errors import UserError
from frism.files import sha256_file

if TYPE_CHECKING:  # lm-eval loads slowly
    from lm_eval.api.model import LM

    from benchmarks.answering.predictions import StoredPrediction
    from benchmarks.text.generated_task import GeneratedTask


COLUMNS = ("variant", "benchmark", "index", "cluster", "answer", "raw", "extracted", "rule", "correct",
           "correct_raw", "truncated", "repeated", "tokens")  # fmt: skip


def ask_questions(
    model: TextModel,
    tasks: "Mapping[str, GeneratedTask]",
    settings: EngineSettings,
    journal: Path,
    decided: Mapping[str, Any] | None = None,
    engine: LateEngine | None = None,
) -> pd.DataFrame:
    """Ask every question and score the answers: a row each (COLUMNS, and seconds).

    `correct` and `correct_raw` are the task's own metric on the extracted answer and on what lm-eval's first
    pattern finds in the raw text. Of several samples per question each has a row, with `sample` and `vote` as
    in `benchmarks.scoring.sample_scores`.

    Args:
        journal: the predictions file that stores the answers; its provenance is written beside it.
        decided: the `fingerprint` of stored answers, where they are checked on another machine.
        engine: for settings with vLLM, one that is to be this model when it is asked; it stays open. Without
            it one is opened when an answer is missing, and closed.

    Raises UserError when a metric is no number in [0, 1].
    """
    from benchmarks.text import language_model as lm

    opened: list[Any] = []

    def load_tower() -> lm.Tower:
        if settings.runs_vllm:
            if engine is None:
                opened.append(_open_engine(model, settings))
            return EngineTower(
                opened[0] if engine is None else engine.engine, model.chat.tokenizer,
                find_positions(model.folder), model.ends, model.chat.find_thoughts(settings.thinking),
                settings,
            )  # fmt: skip
        model.chat.tokenizer.padding_side = "left"
        loaded, partner = model.load()
        return lm.TowerLM(
            loaded, model.ends, model.chat.find_thoughts(settings.thinking), settings.sampling,
            settings.thinking_budget, partner, tokenizer=model.chat.tokenizer, batch_size=settings.batch_size,
            device=str(choose_device(settings)),
        )  # fmt: skip

    def name_question(task: str, position: int) -> tuple[str, str, str]:
        asked = tasks[task]
        return asked.definition.name, asked.index(position), read_target(asked, position)

    language_model = lm.JournalledLM(
        model.chat, load_tower, settings, model.origin, decided or describe_engine(model, settings), journal,
        name_question,
    )  # fmt: skip
    try:
        if settings.samples is None:
            return score_with(model.name, tasks, language_model, chat=True)
        parts = []
        for number in range(settings.samples):
            language_model.sample = number
            scored = score_with(model.name, tasks, language_model, chat=True)
            parts.append(scored.assign(**{SAMPLE: number}))
        # Stable: of every question its samples in order.
        return add_votes(pd.concat(parts).sort_index(kind="stable").reset_index(drop=True))
    finally:
        for one in opened:
            one.close()


def score_with(
    variant: str, tasks: "Mapping[str, GeneratedTask]", language_model: "LM", *, chat: bool
) -> pd.DataFrame:
    """Score what a model of lm-eval's answers: a row each (COLUMNS, and seconds).

    Args:
        language_model: afterwards its `lines` hold the stored answer of every (benchmark, index).
        chat: whether it is asked in chat turns.

    Raises UserError when a metric is no number in [0, 1].
    """
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)
    result = evaluate(
        language_model, manager.load(list(tasks.values())), apply_chat_template=chat, bootstrap_iters=0,
        log_samples=True,
    )  # fmt: skip
    lines: Mapping[tuple[str, str], StoredPrediction] = language_model.lines
    rows = [
        _make_row(variant, task, lines, samples)
        for name, task in tasks.items()
        for samples in _group_by_question(result["samples"][name])
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "seconds"])


def describe_engine(model: TextModel, settings: EngineSettings) -> dict[str, Any]:
    """Describe what decides, beside weights and prompts, which tokens come out."""
    from benchmarks.text.language_model import VERSION

    if settings.runs_vllm:
        check_installed()
        found = describe_vllm(settings)
        kind = "served vllm" if settings.serve else "vllm"
        about = {"engine": f"text {VERSION} by {kind}", **found}
        libraries = found["libraries"] | {"lm_eval": version("lm_eval")}
    else:
        device = choose_device(settings)
        about = {
            "engine": f"text {VERSION}",
            "dtype": settings.dtype,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        }
        libraries = {name: version(name) for name in ("torch", "transformers", "lm_eval")}
    kept = model.chat.find_thoughts(settings.thinking).kept
    return {
        **about,
        "decoding": {**describe_decoding(settings), "ends": sorted(model.ends)},
        "libraries": libraries,
        **({"thinking": {"kept": list(kept)}} if kept else {}),
    }


def _open_engine(model: TextModel, settings: EngineSettings) -> Any:
    if model.variant is None:
        return open_alone(model.folder, settings, model.ends)
    triple, recipe, fitted = model.variant
    return open_engine(triple, recipe, fitted, settings, spectra=model.spectra)


def _make_row(
    variant: str,
    task: "GeneratedTask",
    lines: "Mapping[tuple[str, str], StoredPrediction]",
    samples: dict[str, dict[str, Any]],
) -> tuple[object, ...]:
    """Make one question's row from its stored answer and lm-eval's samples of it, by filter."""
    from benchmarks.text.generated_task import EXTRACTED

    position = next(iter(samples.values()))["doc_id"]
    index = task.index(position)
    line = lines[task.definition.name, index]
    answer, rule = (None, f"{FAILED}{line.failure}") if line.failure else task.extracted[position]
    raw_pattern = next(name for name in samples if name != EXTRACTED)
    correct, correct_raw = (
        0.0 if line.failure else _read_score(task, samples[name]) for name in (EXTRACTED, raw_pattern)
    )
    return (
        variant, task.definition.name, index, task.cluster(position), read_target(task, position), line.raw,
        answer, rule, correct, correct_raw, line.truncated, is_repetitive(line.raw), line.tokens,
        line.seconds,
    )  # fmt: skip


def _group_by_question(samples: Sequence[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Group the samples of every question by the name of lm-eval's filter, questions in order."""
    grouped: dict[int, dict[str, dict[str, Any]]] = {}
    for sample in samples:
        grouped.setdefault(sample["doc_id"], {})[sample["filter"]] = sample
    return [grouped[position] for position in sorted(grouped)]


def _read_score(task: "GeneratedTask", sample: Mapping[str, Any]) -> float:
    """Read the task's metric off a sample. Raises UserError unless it is a number in [0, 1]."""
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


def read_target(task: "GeneratedTask", position: int) -> str:
    """Write a question's gold answer as one text."""
    target = task.doc_to_target(task.eval_docs[position])
    return " ".join(map(str, target)) if isinstance(target, list) else str(target)


def check_data(tasks: "Mapping[str, GeneratedTask]") -> dict[str, Any]:
    """Digest what is asked: the data files, and every benchmark's questions and gold answers.

    Raises UserError when a definition's `sha256` names one of them with another value.
    """
    files: dict[str, str] = {}
    asked: dict[str, list[Any]] = {}
    for task in tasks.values():
        files |= task.files
        asked.setdefault(task.definition.name, []).extend(
            [task.index(p), task.doc_to_text(task.eval_docs[p]), read_target(task, p)]
            for p in range(len(task.positions))
        )
    questions = {name: keys.digest_json(rows) for name, rows in asked.items()}
    for task in tasks.values():
        digests = {**task.files, "questions": questions[task.definition.name]}
        for label, expected in task.definition.sha256.items():
            if label in digests and digests[label] != expected:
                raise UserError(
                    f"{task.definition.name}: {label} has sha256 {digests[label]}, not {expected} as pinned:"
                    " restore the data, or pin the new ones."
                )
    return {"files": files, "questions": questions}


def describe_provenance(
    tasks: "Mapping[str, GeneratedTask]", digests: Mapping[str, Any], journal: Path
) -> dict[str, Any]:
    """Describe what the scores of a text file come from: predictions, extractor, tasks and metrics."""
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
