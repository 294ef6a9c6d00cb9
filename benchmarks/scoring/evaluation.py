"""Score a benchmark's answers by VLMEvalKit's own metric: per question, and its totals as it prints them."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find_file
from benchmarks.scoring import metrics
from benchmarks.scoring.expected import check_metric, load_dataset
from benchmarks.scoring.judges import Judge, RuleJudge
from benchmarks.scoring.sandbox import isolate_scoring
from frism.errors import UserError


@dataclass(frozen=True)
class JudgedAnswers:
    """Scores in [0, 1], one per question in the TSV's order, and VLMEvalKit's totals by name."""

    scores: list[float]
    totals: dict[str, float]


def evaluate(
    definition: Definition, root: str | Path, predictions: Sequence[str], judge: Judge | None = None
) -> JudgedAnswers:
    """Judge one text per question with VLMEvalKit's metric.

    Without `judge` it is the definition's: exact matching, or the rule judge. Every scoring has a fresh
    folder, because VLMEvalKit reuses any result that it finds beside the predictions; nothing in it is left
    to chance, to other processes or to a missing server (`benchmarks.scoring.sandbox`). Raises
    UserError when the metric is not the definition's, when it cannot do without a judge model, and when no
    number comes out.
    """
    root = Path(root)
    rule, dataset = check_metric(definition, root), load_dataset(definition, root)
    if len(predictions) != len(dataset.data):
        raise UserError(
            f"{definition.name}: {len(predictions)} answers for {len(dataset.data)} questions:"
            " run python -m benchmarks.stages.items and python -m benchmarks.stages.predict again."
        )
    _check_judge(definition, rule, dataset, judge)
    if judge is None and definition.judge == "rule":
        judge = RuleJudge(definition.metric)
    table = dataset.data.copy()
    table["prediction"] = list(predictions)
    with (
        tempfile.TemporaryDirectory(prefix="score-") as folder,
        isolate_scoring(type(dataset), Path(folder), judge) as modules,
    ):
        path = Path(folder) / f"scored_{definition.dataset}.tsv"
        table.to_csv(path, sep="\t", index=False, quoting=1)

        def run(file: str) -> Any:
            return dataset.evaluate(file, model=judge.name if judge else "exact_matching", nproc=1)

        try:
            totals = flatten_totals(run(str(path)))
            scores = rule.scores(metrics.ScoringRun(dataset, Path(folder), table, run, modules))
        except UserError:
            raise
        except Exception as error:
            raise _explain_failure(definition, root, table, error) from error
    if scores is None:
        raise UserError(
            f"{definition.name}: VLMEvalKit's {definition.dataset_class} leaves no score per question:"
            " use another class."
        )
    _check_totals(definition, rule, table, scores, totals)
    return JudgedAnswers(scores, totals)


def flatten_totals(result: Any) -> dict[str, float]:
    """Flatten VLMEvalKit's result to its numbers by name, on its own scale: {"split=test|Overall": 0.5}.

    Text columns name the rows. "12.5%" and "12.5% (3)" are the number 12.5; what is no number is left out.
    """
    if not isinstance(result, pd.DataFrame):
        result = pd.DataFrame([result] if isinstance(result, Mapping) else [])
    values = {column: [_read_number(value) for value in result[column]] for column in result}
    labels = sorted(c for c in values if all(isinstance(value, str) for value in values[c]))
    numbers: dict[str, float] = {}
    for row in range(len(result)):
        prefix = "".join(f"{label}={values[label][row]}|" for label in labels)
        for column in values:
            if isinstance(number := values[column][row], float):
                numbers[f"{prefix}{column}"] = number
    return numbers


def _read_number(value: object) -> float | str | None:
    """Read a cell: its number, its text, or None for a number that is not finite."""
    text = re.sub(r"%(?: \(\d+\))?$", "", str(value))
    try:
        number = round(float(text), 10)
    except ValueError:
        return str(value)
    return number if math.isfinite(number) else None


def _explain_failure(definition: Definition, root: Path, table: pd.DataFrame, error: Exception) -> UserError:
    """Say in one sentence why VLMEvalKit cannot score a table: an empty cell, or too few of its questions."""
    for column, name in (("answer", "gold answer"), ("question", "question")):
        texts = table[column].fillna("").astype(str) if column in table else pd.Series(dtype=str)
        empty = table["index"][texts[texts.str.strip() == ""].index]
        if len(empty):
            return UserError(
                f"{root / definition.dataset}.tsv: question {empty.iloc[0]} of {definition.name} has an empty"
                f" {name}, so VLMEvalKit cannot score the benchmark: fill it in in the published table, or"
                " delete the row there, and make the items again."
            )
    remedy = (
        "its metric needs the whole benchmark, so ask all of its questions"
        if definition.whole
        else "compare the table's cells with what that class reads, and if its metric needs the whole"
        " benchmark, set `whole: true`"
    )
    return UserError(
        f"{definition.name}: VLMEvalKit's {definition.dataset_class} cannot score {len(table)} questions"
        f" ({type(error).__name__}: {error}): {remedy}."
    )


# --- checks -------------------------------------------------------------------------------------


def _check_judge(definition: Definition, rule: metrics.Metric, dataset: Any, judge: Judge | None) -> None:
    """Raise UserError when the metric cannot do with this judge, or with these answers."""
    if judge is None and definition.judge == "model":
        raise UserError(f"{definition.name} can only be graded by a language model: leave it out.")
    if judge is None and definition.judge == "exact_matching" and rule.judged == "always":
        raise UserError(
            f"{find_file(definition)}: VLMEvalKit asks a judge for {definition.metric}: set `judge: rule`."
        )
    if definition.metric == "vqa_score" and not dataset.data["answer"].str.startswith("[").any():
        raise UserError(
            f"{find_file(definition)}: VLMEvalKit's VQA score compares an answer with those of several"
            " people, so a set with one answer per question always scores 0: give it a name"
            " with GQA (exact match) in it."
        )


def _check_totals(
    definition: Definition,
    rule: metrics.Metric,
    table: pd.DataFrame,
    scores: list[float],
    totals: dict[str, float],
) -> None:
    """Raise UserError unless VLMEvalKit's totals are the means of its scores per question."""
    if not totals:
        raise UserError(
            f"{definition.name}: VLMEvalKit's {definition.dataset_class} gave no number: nothing is scored."
        )
    bad = [score for score in scores if not 0 <= score <= 1]
    if bad:
        raise UserError(
            f"{definition.name}: VLMEvalKit scores a question {bad[0]}, not in 0 to 1: use another class."
        )
    values = pd.Series(scores)
    for key in rule.totals:
        column = key.partition("{")[2].partition("}")[0]
        if column and column not in table:
            groups: list[tuple[object, pd.Series]] = [("none", values)]
        else:
            by = table[column].reset_index(drop=True) if column else [""] * len(values)
            groups = [(value, part) for value, part in values.groupby(by)]
        for value, group in groups:
            total = totals.get(key.format(**{column: value}) if column else key)
            mean = float(group.mean())
            # Some classes print shares, others per cent.
            if total is not None and min(abs(total - mean), abs(total / 100 - mean)) > 1e-4:
                raise UserError(
                    f"{definition.name}: VLMEvalKit's total {total} is not the mean of its scores per"
                    f" question ({mean:.4f}): a benchmark with a composite metric needs a reader of its own."
                )
