"""Count a reviewer's marks: how often each rule read an answer wrong, and cases for tests."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.page.asked import TEXT, read_answers
from benchmarks.questions.item import DEFINITIONS
from benchmarks.statistics.intervals import wilson
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.tables.cells import Table, list_names, make_columns, make_estimate
from frism.errors import UserError, describe_first_fault
from frism.files import read_json, sha256_file

Verdict = Literal["right", "misread", "gold", "ambiguous"]
ALL = "all rules"
COLUMNS = (
    *make_columns("name", "rule"),
    *make_columns("count", "answers", "reviewed", "read_right", "misread"),
    *make_estimate("misread_share"),
    *make_columns("count", "wrong_gold", "ambiguous"),
)
TITLE = "Answers as a reviewer reads them"
LEGEND = """By the rule that read the answer. Answers: of the whole study; reviewed: those with a mark;
    misread: the answer says something else than what was extracted. Share: misread over all reviewed that are
    not ambiguous, with Wilson's {level} interval; a wrong gold answer was read right. It estimates the share
    among all answers only where those reviewed were drawn at random. Marks of several reviewers that disagree
    count as ambiguous."""


class Mark(BaseModel):
    """Holds one mark, as the page exports it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    benchmark: str
    index: str
    variant: str
    verdict: Verdict
    note: str = ""
    reading: str = ""
    extracted: str | None = None


class Marks(BaseModel):
    """Holds an exported file."""

    model_config = ConfigDict(extra="ignore", strict=True)

    format: Literal["frism-marks"]
    version: Literal[1]
    study: str
    record: str = ""
    marks: Annotated[list[Mark], Field(min_length=1)]


def read_marks(path: Path) -> Marks:
    """Read an exported file. Raises UserError when it is none, or holds no mark."""
    content = read_json(path)
    try:
        return Marks.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path} is no export of a reviewer's marks ({describe_first_fault(error)}): export them again"
            " from the page's view Review."
        ) from None


def join_marks(files: Sequence[Marks]) -> list[Mark]:
    """Join the marks of several reviewers: one an answer, ambiguous where their verdicts differ."""
    found: dict[tuple[str, str, str], Mark] = {}
    for marks in files:
        for mark in marks.marks:
            key = (mark.benchmark, mark.index, mark.variant)
            before = found.get(key)
            if before is not None and before.verdict != mark.verdict:
                note = "; ".join(filter(None, [before.note, mark.note]))
                mark = mark.model_copy(update={"verdict": "ambiguous", "note": note})
            found[key] = mark
    return list(found.values())


def find_answers(results: Path, marks: Iterable[Mark]) -> pd.DataFrame:
    """Find the answers that marks are about: a row each, with the mark's fields beside the answer's.

    Raises UserError for an answer that the study does not have, or reads otherwise by now.
    """
    columns = ["axis", "benchmark", "index", "sample", "answer", "raw", "extracted", "rule", "correct"]
    by_variant: dict[str, list[Mark]] = {}
    for mark in marks:
        by_variant.setdefault(mark.variant, []).append(mark)
    rows = []
    for variant, own in by_variant.items():
        answers = read_answers(results, columns, variant)
        if "sample" in answers:
            answers = answers[answers["sample"].isna() | (answers["sample"] == 0)]
        keys = answers["benchmark"].where(answers["axis"] != "text", TEXT + answers["benchmark"])
        pairs = zip(keys, answers["index"], strict=True)
        by_key = dict(zip(pairs, answers.to_dict("records"), strict=True))
        for mark in own:
            row = by_key.get((mark.benchmark, mark.index))
            if row is None:
                raise UserError(
                    f"{results} has no answer of {variant} to question {mark.index} of {mark.benchmark}:"
                    " name the results that were reviewed."
                )
            extracted = None if pd.isna(row["extracted"]) else row["extracted"]
            if extracted != mark.extracted:
                raise UserError(
                    f"{variant}'s answer to question {mark.index} of {mark.benchmark} was read as"
                    f" {mark.extracted!r} when it was reviewed and is read as {extracted!r} now:"
                    " review it again."
                )
            rows.append({**row, "extracted": extracted, "key": mark.benchmark, "variant": variant,
                         "verdict": mark.verdict, "note": mark.note, "reading": mark.reading})  # fmt: skip
    return pd.DataFrame(rows)


def count_by_rule(results: Path, study: StudyConfig, answers: pd.DataFrame) -> Table:
    """Count the marked answers by rule, most reviewed first, and all together in the last row."""
    totals: dict[str, int] = {}
    for owner in dict.fromkeys([*study.variants, *study.owners]):
        for rule, number in (
            read_answers(results, ["rule"], owner)["rule"].fillna("none").value_counts().items()
        ):
            totals[str(rule)] = totals.get(str(rule), 0) + int(number)
    named = answers.assign(rule=answers["rule"].fillna("none"))
    order = named["rule"].value_counts().index
    level = study.statistics.confidence
    rows = [
        _count(str(rule), totals.get(str(rule), 0), named[named["rule"] == rule], level) for rule in order
    ]
    rows.append(_count(ALL, sum(totals.values()), named, level))
    return Table(pd.DataFrame(rows, columns=list_names(COLUMNS)), COLUMNS)


def _count(rule: str, answers: int, marked: pd.DataFrame, level: float) -> dict[str, Any]:
    number = marked["verdict"].value_counts().to_dict()
    misread, clear = number.get("misread", 0), len(marked) - number.get("ambiguous", 0)
    low, high = wilson(misread, clear, level) if clear else (float("nan"), float("nan"))
    return {
        "rule": rule, "answers": answers, "reviewed": len(marked), "read_right": number.get("right", 0),
        "misread": misread, "misread_share": misread / clear if clear else float("nan"),
        "misread_share_low": low, "misread_share_high": high, "wrong_gold": number.get("gold", 0),
        "ambiguous": number.get("ambiguous", 0),
    }  # fmt: skip


def write_cases(results: Path, answers: pd.DataFrame) -> str:
    """Write marked answers as cases for tests of the extractor: JSON lines.

    `expected` is what a reader takes the answer to be: what was extracted where that is right, the reviewer's
    reading where it was misread (null where none was given). Ambiguous answers are no cases.
    """
    path = Layout(results).items() / DEFINITIONS
    kinds = {name: d.get("answers") for name, d in read_json(path).items()} if path.exists() else {}
    lines = []
    for row in answers[answers["verdict"] != "ambiguous"].to_dict("records"):
        expected = row["extracted"] if row["verdict"] != "misread" else row["reading"] or None
        lines.append(
            json.dumps(
                {"benchmark": row["key"], "index": row["index"], "variant": row["variant"],
                 "kind": kinds.get(row["benchmark"]), "raw": row["raw"], "expected": expected,
                 "extracted": row["extracted"], "rule": row["rule"], "gold": row["answer"],
                 "verdict": row["verdict"], "note": row["note"]},
                ensure_ascii=False,
            )
        )  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def check_study(path: Path, marks: Marks, results: Path, study: StudyConfig) -> str | None:
    """Return a sentence if a study was run again since it was reviewed; raise UserError for another study."""
    if marks.study != study.study:
        raise UserError(
            f"{path} holds marks of the study {marks.study}, and {results} is {study.study}:"
            " name its results."
        )
    if marks.record and marks.record != sha256_file(Layout(results).record):
        return f"{results} was run again since {path} was made; its answers are read as they were."
    return None
