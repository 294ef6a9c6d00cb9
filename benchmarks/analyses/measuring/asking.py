"""Ask a variant the same questions under one intervention after the other; what is answered stays answered.

Every answer's key covers the recipe, the code of the analysis, the intervention, the engine and the questions
of its batch, so that a run that was cut off goes on, and none takes up what was answered under another one.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.analyses.measuring.intervention import Intervention
from benchmarks.answering.answer import answer_missing
from benchmarks.answering.batching import Batch
from benchmarks.answering.failures import Tolerance
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import StoredPrediction, open_store, read_predictions
from benchmarks.questions.item import Item
from frism.progress import Progress

Answers = dict[str, list[StoredPrediction]]  # by benchmark, one per question in order


def ask(
    engine: LateEngine,
    questions: Mapping[str, Sequence[Item]],
    steps: Sequence[Intervention],
    origin: Mapping[str, Any],
    path: Path,
) -> tuple[list[Answers], dict[str, Any]]:
    """Answer all questions under every intervention; return the answers of each, and the
    engine's fingerprint.

    The engine, which must have been turned into the variant, is opened only if an answer is missing, and its
    model changed only while one is given. Raises UserError as `predict` does.

    Args:
        origin: what identifies the variant's weights and the analysis' code.
        path: the file in which answers grow, of all interventions.
    """
    asked = [item for group in questions.values() for item in group]
    tolerance = Tolerance.over(engine.settings.tolerated_share, asked * len(steps))
    planned: list[list[Batch]] = []
    fingerprint: dict[str, Any] = {}
    for step in steps:
        plan, batches = engine.group(asked, {**origin, "intervention": list(step.identity)}, path, tolerance)
        planned.append(batches)
        fingerprint = plan.fingerprint
    wanted = {key for batches in planned for batch in batches for key in batch.keys}
    with (
        open_store(path, wanted, tolerance) as store,
        Progress("answers", len(wanted), "questions", len(store.done)) as progress,
    ):
        missing = [
            (step, batches)
            for step, batches in zip(steps, planned, strict=True)
            if not all(key in store.done for batch in batches for key in batch.keys)
        ]
        for within, group in groupby(missing, key=lambda pair: pair[0].within):
            _ = engine.engine  # opened and turned into the variant before anything is changed
            with within():
                for step, batches in group:
                    with step.apply():
                        for count in answer_missing(engine, batches, store):
                            progress.advance(count, f"{step.action} {step.module} {step.first}")
    lines = {line.key: line for line in read_predictions(path)}
    return [_sort_out(questions, batches, lines) for batches in planned], fingerprint


def _sort_out(
    questions: Mapping[str, Sequence[Item]], batches: Sequence[Batch], lines: Mapping[str, StoredPrediction]
) -> Answers:
    """Return every question's answer, in the order of the questions."""
    by_content = {
        content: lines[key]
        for batch in batches
        for content, key in zip(batch.contents, batch.keys, strict=True)
    }
    return {name: [by_content[item.content] for item in group] for name, group in questions.items()}
