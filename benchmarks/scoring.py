"""Scores: extracted answers judged by VLMEvalKit's metric, and the raw texts by VLMEvalKit alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from benchmarks import extraction, vlmevalkit
from benchmarks.items import Item
from benchmarks.registry import find
from frism.errors import UserError

COLUMNS = ("variant", "benchmark", "axis", "group", "split", "index", "answer", "raw", "extracted", "rule",
           "correct", "correct_raw", "truncated", "repeated", "tokens")  # fmt: skip


class Answer(Protocol):
    """What scoring needs of a prediction: `benchmarks.predictions.Line` has it."""

    @property
    def raw(self) -> str: ...
    @property
    def tokens(self) -> int: ...
    @property
    def truncated(self) -> bool: ...


def score(
    variant: str, items: Mapping[str, Sequence[Item]], answers: Mapping[str, Sequence[Answer]]
) -> pd.DataFrame:
    """One row per question (COLUMNS), benchmarks and questions in the order of `items`.

    `correct` and `correct_raw` are VLMEvalKit's scores per question in [0, 1]. A question whose answer
    could not be extracted counts as wrong and has an empty `extracted`.

    Args:
        answers: per benchmark one answer for each of its items, in the same order.

    Raises UserError when answers are missing or VLMEvalKit gives no number.
    """
    parts = []
    for name, questions in items.items():
        given = answers.get(name, [])
        if len(given) != len(questions):
            raise UserError(
                f"{variant}: {len(given)} answers for the {len(questions)} questions of {name}:"
                " run python -m benchmarks.predict first."
            )
        parts.append(_rows(variant, name, questions, given))
    return pd.concat(parts, ignore_index=True)


def totals(scores: pd.DataFrame) -> pd.DataFrame:
    """Per benchmark: benchmark, axis, group, n, correct (sum of scores), score (their mean)."""
    grouped = scores.groupby("benchmark", sort=False)
    # Not as keywords: `axis` is an argument of `agg` itself.
    result = grouped[["axis", "group"]].first().assign(n=grouped.size(), correct=grouped["correct"].sum())
    return result.assign(score=result["correct"] / result["n"]).reset_index()


def _rows(variant: str, name: str, items: Sequence[Item], answers: Sequence[Answer]) -> pd.DataFrame:
    definition = find(name)
    root = items[0].folder / items[0].split
    found = [extraction.extract(answer.raw, definition.answers) for answer in answers]
    texts = [vlmevalkit.UNANSWERED if text is None else text for text, _ in found]
    return pd.DataFrame(
        {
            "variant": variant,
            "benchmark": name,
            "axis": definition.axis,
            "group": definition.group,
            "split": [item.split for item in items],
            "index": [item.index for item in items],
            "answer": [item.answer for item in items],
            "raw": [answer.raw for answer in answers],
            "extracted": [text for text, _ in found],
            "rule": [rule for _, rule in found],
            "correct": _judge(name, root, items, texts),
            "correct_raw": _judge(name, root, items, [answer.raw for answer in answers]),
            "truncated": [answer.truncated for answer in answers],
            "repeated": [extraction.repeated(answer.raw) for answer in answers],
            "tokens": [answer.tokens for answer in answers],
        },
        columns=list(COLUMNS),
    )


def _judge(name: str, root: Path, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
    scores, _ = vlmevalkit.evaluate(find(name), root, texts)
    if len(scores) != len(items):
        raise UserError(f"{root} and the items of {name} differ: run python -m benchmarks.items again.")
    return scores
