"""Describe what an answer to each question looks like, from a table that many scorings share."""

from __future__ import annotations

import string
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import path_of
from benchmarks.scoring import metrics
from benchmarks.scoring.extraction import Kind
from benchmarks.scoring.literals import literal
from benchmarks.vlmevalkit.loading import build
from frism.errors import UserError

# What stands for a missing answer, by the form of the answer: no rule reads anything from it.
_UNANSWERED = {"option": "Z", "options": "Z", "passage": ""}
UNANSWERED = "[unanswered]"
# Columns in which a table says question by question what is asked for.
_FORMS: dict[str, Kind] = {"multi_choice": "option", "multi-choice": "option", "multiple choice": "option",
          "integer": "number", "float": "number", "list": "text"}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What an answer to one question looks like.

    Attributes:
        kind: as `benchmarks.scoring.extraction.extract` takes it.
        options: option texts by letter.
        longest: words up to which an unmarked text is an answer.
        json: whether a JSON object was asked for.
        phrasing: how VLMEvalKit wants the answer put, {} standing for it.
    """

    kind: Kind
    options: dict[str, str] = field(default_factory=dict)
    longest: int = 4
    json: bool = False
    phrasing: str = "{}"

    def phrase(self, answer: str | None) -> str:
        """Put an extracted answer, or none, as VLMEvalKit's metric gets it."""
        return _UNANSWERED.get(self.kind, UNANSWERED) if answer is None else self.phrasing.format(answer)


def questions(definition: Definition, root: str | Path) -> Any:
    """Load VLMEvalKit's dataset object, without pictures; it is shared by all scorings: do not change it."""
    return _read(definition, Path(root), _state(definition, Path(root)))


def metric(definition: Definition, root: str | Path) -> metrics.Metric:
    """Find the metric that VLMEvalKit uses for a benchmark. Raises UserError if the definition differs."""
    dataset = questions(definition, root)
    name = metrics.name_of(dataset)
    if name != definition.metric:
        raise UserError(
            f"{path_of(definition)}: VLMEvalKit scores a {getattr(dataset, 'TYPE', '')} set called"
            f" {definition.dataset} by {name}, not by {definition.metric}: change `metric`, or for a VQA set"
            " the name (GQA: accuracy)."
        )
    return metrics.of(dataset)


def expected_answers(definition: Definition, root: str | Path) -> list[Expected]:
    """Describe what the answer to every question looks like, in the TSV's order."""
    metric(definition, root)
    return _expected(definition, Path(root), _state(definition, Path(root)))


def _state(definition: Definition, root: Path) -> tuple[int, int]:
    """Read a table's size and time: it is loaded once for many scorings, and again after a change."""
    path = root / f"{definition.dataset}.tsv"
    state = path.stat() if path.is_file() else None
    return (state.st_size, state.st_mtime_ns) if state else (0, 0)


@lru_cache(maxsize=64)
def _read(definition: Definition, root: Path, state: tuple[int, int]) -> Any:
    return build(definition, root, pictures=False)


@lru_cache(maxsize=64)
def _expected(definition: Definition, root: Path, state: tuple[int, int]) -> list[Expected]:
    dataset = _read(definition, root, state)
    rule, answers = metrics.of(dataset), []
    for row in dataset.data.to_dict("records"):
        options = _options(row)
        kind = next((_FORMS[row[c]] for c in ("question_type", "answer_type") if row.get(c) in _FORMS), None)
        if kind is None and options:
            kind = "options" if definition.answers == "options" else "option"
        if kind is None:
            kind = rule.open or ("text" if definition.answers == "json" else definition.answers)
        json = definition.answers == "json"
        answers.append(Expected(kind, options, rule.longest, json, rule.phrasing))
    return answers


def _options(row: Mapping[Any, Any]) -> dict[str, str]:
    """Read options by letter: columns A, B, ...; a list in `choices` or `options`; lines after "Choices:"."""
    by_letter = {c: str(row[c]) for c in string.ascii_uppercase if c in row and not pd.isna(row[c])}
    for column in ("choices", "options"):
        cell = row.get(column)
        if not by_letter and isinstance(cell, str) and cell.startswith("["):
            with suppress(SyntaxError):
                by_letter = dict(zip(string.ascii_uppercase, map(str, literal(cell)), strict=False))
    if not by_letter and "Choices:" in (text := str(row.get("question_for_eval", ""))):
        for line in text.partition("Choices:")[2].strip().splitlines():
            letter, colon, option = line.partition(":")
            if colon and letter.strip() in tuple(string.ascii_uppercase):
                by_letter[letter.strip()] = option.strip()
    return by_letter
