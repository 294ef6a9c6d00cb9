"""Read what a variant answered on dev when its coefficients were chosen, and count in every answer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.answering.predictions import StoredPrediction, read_predictions
from benchmarks.questions.item import Item
from benchmarks.scoring.question_scores import score_answers
from frism.errors import UserError
from frism.files import read_json

KEPT = ("variant", "benchmark", "axis", "index", "cluster", "correct", "tokens", "truncated", "repeated")
Answers = Mapping[str, Sequence[StoredPrediction]]


def read_stored_answers(variant: Path, items: Mapping[str, Sequence[Item]]) -> Answers:
    """Read the dev answers at a variant's chosen point, by benchmark in the order of `items`.

    Where dev was answered by several samples, the first of each question counts.

    Args:
        variant: the variant's folder.

    Raises UserError where an answer is missing, or is to another question.
    """
    path = variant / "points" / str(read_json(variant / "choice.json")["point"]) / "dev.jsonl"
    lines = {(line.benchmark, line.index): line for line in read_predictions(path) if not line.sample}
    found: dict[str, list[StoredPrediction]] = {}
    for name, group in items.items():
        for item in group:
            line = lines.get((name, item.index))
            if line is None or (line.sample is None and line.item != item.content):
                raise UserError(
                    f"{path} lacks the answer to question {item.index} of {name}: delete the variant's"
                    " recipe.json and run snakemake again."
                )
            found.setdefault(name, []).append(line)
    return found


def pair_with_answers(
    drawn: Mapping[str, Sequence[Item]], items: Mapping[str, Sequence[Item]], answers: Answers
) -> list[tuple[Item, str]]:
    """Pair the drawn questions with the texts of their answers, which are in the order of `items`."""
    texts = {
        (name, item.index): line.raw
        for name, group in items.items()
        for item, line in zip(group, answers[name], strict=True)
    }
    return [(item, texts[name, item.index]) for name, group in drawn.items() for item in group]


def score_stored(
    name: str, items: Mapping[str, Sequence[Item]], answers: Answers, column: str
) -> pd.DataFrame:
    """Score stored answers, which are in the order of `items`: benchmark, index and the score as `column`."""
    scored = score_answers(name, items, answers)
    return scored[["benchmark", "index"]].assign(**{column: scored["correct"]})


def count_in_answers(
    name: str,
    items: Mapping[str, Sequence[Item]],
    drawn: Mapping[str, Sequence[Item]],
    answers: Answers,
    read: Callable[[str], Mapping[str, float]],
) -> pd.DataFrame:
    """Score answers and count in those to the drawn questions: KEPT, and a column per count.

    Args:
        name: of the variant. items: all questions of the split, in the order of `answers`.
    """
    scored = score_answers(name, items, answers)
    asked = {(benchmark, item.index) for benchmark, group in drawn.items() for item in group}
    chosen = [key in asked for key in zip(scored["benchmark"], scored["index"], strict=True)]
    rows = scored[chosen].reset_index(drop=True)
    counts = pd.DataFrame([read(text) for text in rows["raw"]])
    return pd.concat([rows[list(KEPT)], counts], axis=1)
