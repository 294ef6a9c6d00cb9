"""Score the answers that a variant gave under interventions: one row per question and intervention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.analyses.measuring.intervention import COLUMNS, Intervention
from benchmarks.questions.item import Item
from benchmarks.scoring.question_scores import StoredAnswer, score_answers

KEPT = ("benchmark", "axis", "index", "cluster", "extracted", "correct", "tokens", "truncated")


@dataclass(frozen=True)
class NotAsked:
    """Stands for the answer to a question that was not drawn: scorers read a whole split."""

    raw: str = ""
    tokens: int | None = 0
    truncated: bool | None = False
    failure: str = ""


def score_steps(
    variant: str,
    items: Mapping[str, Sequence[Item]],
    drawn: Mapping[str, Sequence[Item]],
    steps: Sequence[Intervention],
    answers: Sequence[Mapping[str, Sequence[StoredAnswer]]],
) -> pd.DataFrame:
    """Score the drawn questions under every intervention: variant, the columns of interventions, KEPT.

    Args:
        items: all questions of the split. drawn: those that were asked.
        answers: by intervention and benchmark, in the order of `drawn`.
    """
    asked = {(name, item.index) for name, group in drawn.items() for item in group}
    parts = []
    for step, given in zip(steps, answers, strict=True):
        whole = {
            name: _fill_up(group, drawn[name], given[name]) for name, group in items.items() if drawn[name]
        }
        scored = score_answers(variant, {name: items[name] for name in whole}, whole)
        rows = [key in asked for key in zip(scored["benchmark"], scored["index"], strict=True)]
        parts.append(scored.loc[rows, list(KEPT)].assign(**step.labels))
    table = pd.concat(parts, ignore_index=True).assign(variant=variant)
    return table[["variant", *COLUMNS, *KEPT]]


def _fill_up(
    group: Sequence[Item], drawn: Sequence[Item], answers: Sequence[StoredAnswer]
) -> list[StoredAnswer]:
    by_index = dict(zip([item.index for item in drawn], answers, strict=True))
    return [by_index.get(item.index, NotAsked()) for item in group]
