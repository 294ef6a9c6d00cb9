"""List VLMEvalKit's metrics: what each needs, and where it leaves the score of a question."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pandas as pd

from benchmarks.registry.metric_names import evaluating_class
from benchmarks.scoring.extraction import SHORT, Kind
from benchmarks.vlmevalkit.loading import reader, replaced_in

Judged = Literal["never", "unread", "always"]


@dataclass(frozen=True)
class Run:
    """One finished scoring: the folder with VLMEvalKit's result files, and what was asked of it."""

    dataset: Any
    folder: Path
    table: pd.DataFrame
    evaluate: Callable[[str], Any]
    modules: list[ModuleType]

    def results(self, *columns: str) -> Iterator[tuple[str, pd.DataFrame]]:
        """List (column, table) of the result files that add one of `columns` to the benchmark's own."""
        read = reader()
        for path in sorted(self.folder.iterdir()):
            if path.suffix in (".tsv", ".csv"):
                table = read(path)
                for column in columns:
                    if column in table and column not in self.table and "index" in table:
                        yield column, table

    @property
    def keys(self) -> list[str]:
        """List the index of every question, in the benchmark's order."""
        return [str(index) for index in self.table["index"]]


Reader = Callable[[Run], list[float] | None]


@dataclass(frozen=True)
class Metric:
    """How one metric of VLMEvalKit is used.

    Attributes:
        judged: whether VLMEvalKit asks a judge: never, about texts that its rules cannot read, or always.
        scores: one score in [0, 1] per question, from the result files; None when there is none.
        totals: keys of its totals that hold the mean of these scores, checked where they are there; in
            braces the column of which the totals hold one per value.
        open: what an answer is where a question has no options; None: the definition's `answers`.
        longest: words up to which an unmarked text is an answer by itself.
        phrasing: how an extracted answer is put, where the metric reads only one form.
    """

    judged: Judged
    scores: Reader
    totals: tuple[str, ...] = ("Overall",)
    open: Kind | None = None
    longest: int = SHORT
    phrasing: str = "{}"


def owner(dataset: Any) -> str:
    """Name the class whose `evaluate` a dataset object uses."""
    return next(c.__name__ for c in type(dataset).__mro__ if "evaluate" in vars(c))


def name_of(dataset: Any) -> str:
    """Name the metric that VLMEvalKit uses for a dataset object."""
    return evaluating_class(owner(dataset)).metric_of(dataset.dataset_name)


def of(dataset: Any) -> Metric:
    """Find how the metric of a dataset object is used."""
    return _NATIVE.get(owner(dataset)) or METRICS[name_of(dataset)]


# --- readers ------------------------------------------------------------------------------------


def _column(*names: str) -> Reader:
    """Read a column of a result file that has a row for every question, in whatever order."""

    def read(run: Run) -> list[float] | None:
        for column, table in run.results(*names):
            score_by_index = dict(zip(map(str, table["index"]), table[column], strict=True))
            if set(score_by_index) == set(run.keys):
                return [float(score_by_index[key]) for key in run.keys]
        return None

    return read


def _answers(run: Run) -> list[float] | None:
    """Score VQA by VLMEvalKit's own rule on how an answer compares with each accepted one.

    Its column `eval_score` is the mean of these: for ANLS a mean distance, for ChartQA not the best match.
    """
    rule = importlib.import_module("vlmeval.dataset.utils.vqa_eval").hit_calculate
    for column, table in run.results("eval_match"):
        matches = [{"match": ast.literal_eval(cell)} for cell in table[column]]
        scores = rule(matches, run.dataset.dataset_name)
        score_by_index = dict(zip(map(str, table["index"]), scores, strict=True))
        return [float(score_by_index[key]) for key in run.keys]
    return None


def _rotations(run: Run) -> list[float] | None:
    """Read circular evaluation: every rotation of a question has its group's score, right or wrong as one."""
    for column, table in run.results("hit"):
        hits = {int(index): float(hit) for index, hit in zip(table["index"], table[column], strict=True)}
        groups = run.table["g_index"] if "g_index" in run.table else run.table["index"].astype(int) % 10**6
        return [hits[int(group)] for group in groups]
    return None


def _checked(module: str) -> Reader:
    """Repeat VLMEvalKit's own check of every row of its file: it counts the scores without writing them."""

    def read(run: Run) -> list[float] | None:
        check = importlib.import_module(f"vlmeval.dataset.utils.{module}").post_check
        for _, table in run.results("res"):
            score_by_index = {str(row["index"]): float(bool(check(row))) for _, row in table.iterrows()}
            return [score_by_index[key] for key in run.keys]
        return None

    return read


def _one_by_one(total: str, scale: float) -> Reader:
    """Score every question alone by VLMEvalKit's total, where only totals are written."""

    def read(run: Run) -> list[float] | None:
        scores = []
        for position in range(len(run.table)):
            row = run.table.iloc[[position]].reset_index(drop=True)
            with replaced_in(run.modules, load=lambda *_, row=row: row.copy(), dump=lambda *_, **__: None):
                scores.append(float(run.evaluate("one.tsv")[total]) / scale)
        return scores

    return read


def _extracted(module: str) -> Reader:
    """Compare the letter that VLMEvalKit reads from the text with the answer, where it only counts them."""

    def read(run: Run) -> list[float] | None:
        utilities = importlib.import_module(f"vlmeval.dataset.utils.{module}")
        letters = [utilities.extract_answer(text) for text in run.table["prediction"]]
        letters = [letter[0] if isinstance(letter, tuple) else letter for letter in letters]
        answers = [str(answer) for answer in run.table["answer"]]
        if hasattr(utilities, "to_choice_letter"):  # the answer is the option's text
            options = [ast.literal_eval(cell) for cell in run.table["options"]]
            answers = [utilities.to_choice_letter(*both) for both in zip(options, answers, strict=True)]
        return [float(a.lower() == b.lower()) for a, b in zip(letters, answers, strict=True)]

    return read


METRICS: dict[str, Metric] = {
    "accuracy": Metric("never", _answers),
    "relaxed_accuracy": Metric("never", _answers, longest=8),
    "anls": Metric("never", _answers, longest=24),
    "vqa_score": Metric("never", _answers, longest=8),
    "ocrbench": Metric("never", _one_by_one("Final Score", 1), (), "passage"),
    "yes_no": Metric("unread", _column("score")),
    "mme": Metric("unread", _column("score"), ()),
    "hallusionbench": Metric("unread", _column("score"), ("split=Overall|aAcc",)),
    "option": Metric("unread", _column("hit"), ("split={split}|Overall", "Overall"), "text", longest=12),
    "circular": Metric("unread", _rotations, (), "text", longest=12),
    "wemath": Metric("unread", _column("hit"), (), "text", longest=12),
    "mathvista": Metric("always", _checked("mathvista"), ("Task&Skill=Overall|acc",), longest=12),
    "mathvision": Metric("always", _checked("mathv"), ("Subject=Overall|acc",), "math", longest=12),
    "mathverse": Metric("always", _column("score"), ("split={problem_version}|Overall",), "math", longest=12),
    "logicvista": Metric("always", _column("hit"), ("Task&Skill=Overall|acc",), "options", longest=8),
    "dynamath": Metric("unread", _column("correct"), ("Setting=Average|Overall",), "text", longest=12),
    "native": Metric("unread", _column("hit", "score", "eval_score", "correct", "match"), (), longest=12),
}
# Classes with an `evaluate` of their own, by the name of the class: "native" metrics that are known.
_NATIVE: dict[str, Metric] = {
    "CountBenchQA": Metric("never", _one_by_one("accuracy", 100), ("accuracy",), "number"),
    **{
        name: Metric("never", _extracted(name.lower()), totals, "option", longest=12, phrasing="Answer: {}")
        for name, totals in {
            "VisuLogic": ("category=Overall|acc",),
            "VisualPuzzles": ("group=overall|type=category|acc",),
            "PuzzleVQA": ("category=overall|acc",),
        }.items()
    },
}
