"""Score several samples per question: each sample as an answer of its own, and which of them say the same."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.questions.item import Item
from benchmarks.scoring.question_scores import ScoredAnswers, StoredAnswer, score_with_judge
from benchmarks.scoring.voting import number_votes

if TYPE_CHECKING:
    from benchmarks.scoring.chat_judge import ChatJudge

SAMPLE = "sample"  # after the index of a question
VOTE = "vote"  # after what was extracted


def score_samples(
    variant: str,
    items: Mapping[str, Sequence[Item]],
    answers: Mapping[str, Sequence[StoredAnswer]],
    samples: int | None,
    judge: "ChatJudge | None" = None,
    *,
    raw: bool = True,
) -> ScoredAnswers:
    """Score `samples` answers per question (None: one, greedy), as `score_with_judge` scores one.

    The table has a row per sample, questions in order, and beside COLUMNS `sample`, from 0, and `vote`: the
    first sample of the question that says the same (`voting`), nothing without an answer. VLMEvalKit's totals
    are means over the samples.

    Args:
        answers: per benchmark the answers of every item, samples of one item together.
        raw: whether the raw texts are scored, too.

    Raises UserError as `score_with_judge` does.
    """
    if samples is None:
        return score_with_judge(variant, items, answers, judge, raw=raw)
    drawn = [
        score_with_judge(
            variant, items, {name: group[number::samples] for name, group in answers.items()}, judge, raw=raw
        )
        for number in range(samples)
    ]
    tables = [scored.table.assign(**{SAMPLE: number}) for number, scored in enumerate(drawn)]
    # Stable: of every question its samples in order.
    table = pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)
    return ScoredAnswers(add_votes(table), _average_totals([scored.official for scored in drawn]))


def add_votes(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column `vote` to a table with a row per sample, samples of one question together.

    `sample` moves beside the question's index.
    """
    votes: list[int | None] = []
    for _, rows in table.groupby(["benchmark", "index"], sort=False):
        votes += number_votes([None if pd.isna(text) else str(text) for text in rows["extracted"]])
    columns = [str(column) for column in table if column != SAMPLE]
    columns.insert(columns.index("index") + 1, SAMPLE)
    columns.insert(columns.index("extracted") + 1, VOTE)
    return table.assign(**{VOTE: pd.Series(votes, index=table.index, dtype="Int64")})[columns]


def _average_totals(
    drawn: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Average VLMEvalKit's totals, {benchmark: {reading: {name: total}}}, over the samples that have them."""
    averaged: dict[str, dict[str, dict[str, float]]] = {}
    for benchmark, readings in drawn[0].items():
        averaged[benchmark] = {}
        for reading in readings:
            each = [official[benchmark].get(reading, {}) for official in drawn]
            names = dict.fromkeys(name for totals in each for name in totals)
            averaged[benchmark][reading] = {
                name: round(fmean(totals[name] for totals in each if name in totals), 10) for name in names
            }
    return averaged
