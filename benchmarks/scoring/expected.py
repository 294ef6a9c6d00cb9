"""Describe what an answer to each question looks like, from a table that many scorings share."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find_file
from benchmarks.scoring import metrics
from benchmarks.scoring.extraction import Kind
from benchmarks.vlmevalkit.literals import parse_literal
from benchmarks.vlmevalkit.loading import build_dataset
from frism.errors import UserError

# What stands for a missing answer, by the form of the answer: no rule reads anything from it.
_UNANSWERED = {"option": "Z", "options": "Z", "passage": ""}
UNANSWERED = "[unanswered]"
_PERCENT = re.compile(r"(?<=\d)\s*\\?%$")
# Options that stand in the question: "(A) £75 million (B) ...", or a line each.
_IN_QUESTION = re.compile(r"(?:^|(?<=\s))\(?([A-Z])[).:]\s*(.*?)(?=\s+\(?[A-Z][).:]\s|\n|$)", re.MULTILINE)
# Columns in which a table says question by question what is asked for.
_FORMS: dict[str, Kind] = {"multi_choice": "option", "multi-choice": "option", "multiple choice": "option",
          "integer": "number", "float": "number", "list": "text"}  # fmt: skip


@dataclass(frozen=True)
class ExpectedAnswer:
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
        if answer is None:
            return _UNANSWERED.get(self.kind, UNANSWERED)
        # To VLMEvalKit's rules 25% is not 25; lm-eval's metric, which knows the sign, gets it as it is.
        bare = _PERCENT.sub("", answer) if self.kind == "math" else answer
        return self.phrasing.replace("{}", bare)


def load_dataset(definition: Definition, root: str | Path) -> Any:
    """Load VLMEvalKit's dataset object, without pictures; it is shared by all scorings: do not change it."""
    return _load(definition, Path(root), _file_state(definition, Path(root)))


def check_metric(definition: Definition, root: str | Path) -> metrics.Metric:
    """Find the metric that VLMEvalKit uses for a benchmark. Raises UserError if the definition differs."""
    dataset = load_dataset(definition, root)
    name = metrics.name_metric(dataset)
    if name != definition.metric:
        raise UserError(
            f"{find_file(definition)}: VLMEvalKit scores a {getattr(dataset, 'TYPE', '')} set called"
            f" {definition.dataset} by {name}, not by {definition.metric}: change `metric`, or for a VQA set"
            " the name (GQA: accuracy)."
        )
    return metrics.find_metric(dataset)


def describe_answers(definition: Definition, root: str | Path) -> list[ExpectedAnswer]:
    """Describe what the answer to every question looks like, in the TSV's order."""
    check_metric(definition, root)
    return _describe(definition, Path(root), _file_state(definition, Path(root)))


def _file_state(definition: Definition, root: Path) -> tuple[int, int]:
    """Read a table's size and time: it is loaded once for many scorings, and again after a change."""
    path = root / f"{definition.dataset}.tsv"
    state = path.stat() if path.is_file() else None
    return (state.st_size, state.st_mtime_ns) if state else (0, 0)


@lru_cache(maxsize=64)
def _load(definition: Definition, root: Path, state: tuple[int, int]) -> Any:
    return build_dataset(definition, root, pictures=False)


@lru_cache(maxsize=64)
def _describe(definition: Definition, root: Path, state: tuple[int, int]) -> list[ExpectedAnswer]:
    dataset = _load(definition, root, state)
    rule, answers = metrics.find_metric(dataset), []
    for row in dataset.data.to_dict("records"):
        options = _read_options(row)
        kind = next((_FORMS[row[c]] for c in ("question_type", "answer_type") if row.get(c) in _FORMS), None)
        if kind is None and options:
            kind = "options" if definition.answers == "options" else "option"
        if kind is None:
            kind = rule.open or ("text" if definition.answers == "json" else definition.answers)
        if kind in ("option", "options") and not options:
            options = _find_in_question(str(row.get("question", "")))
        json = definition.answers == "json"
        answers.append(ExpectedAnswer(kind, options, rule.longest, json, rule.phrasing))
    return answers


def _read_options(row: Mapping[Any, Any]) -> dict[str, str]:
    """Read options by letter: columns A, B, ...; a list in `choices` or `options`; lines after "Choices:"."""
    by_letter = {c: str(row[c]) for c in string.ascii_uppercase if c in row and not pd.isna(row[c])}
    for column in ("choices", "options"):
        cell = row.get(column)
        if not by_letter and isinstance(cell, str) and cell.startswith("["):
            with suppress(SyntaxError):
                by_letter = dict(zip(string.ascii_uppercase, map(str, parse_literal(cell)), strict=False))
    if not by_letter and "Choices:" in (text := str(row.get("question_for_eval", ""))):
        for line in text.partition("Choices:")[2].strip().splitlines():
            letter, colon, option = line.partition(":")
            if colon and letter.strip() in tuple(string.ascii_uppercase):
                by_letter[letter.strip()] = option.strip()
    return by_letter


def _find_in_question(question: str) -> dict[str, str]:
    """Find options that are written out in the question: at least two, from A on, in order."""
    found = _IN_QUESTION.findall(question)
    start = next((place for place, (letter, _) in enumerate(found) if letter == "A"), len(found))
    by_letter: dict[str, str] = {}
    for letter, option in found[start:]:
        if letter != string.ascii_uppercase[len(by_letter)]:
            break
        by_letter[letter] = option.strip(" ,;")
    return by_letter if len(by_letter) > 1 and all(by_letter.values()) else {}
