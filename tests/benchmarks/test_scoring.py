"""Scores: style does not count, stale answers are refused, the same predictions give the same bytes."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import Result

from benchmarks import items
from benchmarks.predictions import Line
from benchmarks.score import main
from benchmarks.scoring import COLUMNS, score, totals
from frism.errors import UserError

from .conftest import QUESTIONS, SUITES, invoke, refused


def answers(asked: dict[str, list[items.Item]], style: str = " {}") -> dict[str, list[SimpleNamespace]]:
    """The truth in the given style, for every second question; nonsense for the rest."""
    return {
        name: [
            SimpleNamespace(
                raw=style.format(item.answer.lower()) if i % 2 == 0 else " red" * 12,
                tokens=3,
                truncated=i % 2 == 1,
            )
            for i, item in enumerate(group)
        ]
        for name, group in asked.items()
    }  # fmt: skip


def written(asked: dict[str, list[items.Item]], path: Path) -> list[Line]:
    lines = [
        Line(f"{n}{i.index}", n, i.index, i.content, answer.raw, answer.tokens, answer.truncated, 0.1)
        for n, group in asked.items()
        for i, answer in zip(group, answers(asked)[n], strict=True)
    ]
    path.write_text("".join(line.text() for line in lines))
    return lines


def test_rows_say_what_was_asked_answered_and_judged(items_folder: Path) -> None:
    asked = items.load(items_folder, "test", SUITES)
    table = score("v", asked, answers(asked, " red one . Answer {}"))
    assert tuple(table.columns) == COLUMNS
    assert list(table["benchmark"].unique()) == SUITES
    assert len(table) == QUESTIONS * len(SUITES)
    right = table["correct"] == 1
    assert right.tolist() == [i % 2 == 0 for _ in SUITES for i in range(QUESTIONS)]
    assert (table.loc[right, "rule"] == "answer phrase").all()
    assert table.loc[~right, "extracted"].isna().all()
    assert table["repeated"].tolist() == (~right).tolist()
    raw = table[right].groupby("benchmark")["correct_raw"].mean()
    assert raw["mini_total"] == 0, "VLMEvalKit's exact match on the whole text"
    assert raw["mini_existence"] == 1, "VLMEvalKit looks for the word yes or no"
    summary = totals(table).set_index("benchmark")
    assert (summary["score"] == 0.5).all() and (summary["n"] == QUESTIONS).all()
    assert summary.loc["mini_total", ["axis", "group", "correct"]].tolist() == ["reasoning", "reasoning", 5]


def test_missing_answers_are_refused(items_folder: Path) -> None:
    asked = items.load(items_folder, "test", SUITES[:1])
    with pytest.raises(UserError, match="0 answers for the 10 questions of mini_number"):
        score("v", asked, {})


def run(folder: Path, predictions: Path, out: Path, benchmarks: str = "") -> Result:
    options = ["--predictions", predictions, "--items", folder, "--variant", "v", "--out", out]
    options += ["--benchmarks", benchmarks or ",".join(SUITES), "--split", "test"]
    return invoke(main, *options)


def test_command_line_gives_the_same_bytes_twice(items_folder: Path, tmp_path: Path) -> None:
    predictions, out = tmp_path / "v.jsonl", tmp_path / "scores" / "v.csv"
    lines = written(items.load(items_folder, "test", SUITES), predictions)
    assert run(items_folder, predictions, out).exit_code == 0
    first = out.read_bytes()
    slower = [replace(line, seconds=9.0) for line in reversed(lines)]
    predictions.write_text("".join(line.text() for line in slower))
    assert run(items_folder, predictions, out).exit_code == 0
    assert out.read_bytes() == first
    costs = pd.read_csv(tmp_path / "scores" / "v.cost.csv")
    assert costs["seconds"].tolist() == [9.0] * len(lines)


def test_answers_to_other_questions_are_not_scored(items_folder: Path, tmp_path: Path) -> None:
    predictions, out = tmp_path / "v.jsonl", tmp_path / "v.csv"
    lines = written(items.load(items_folder, "test", SUITES), predictions)

    def check(complaint: str, benchmarks: str = "", folder: Path = items_folder) -> None:
        assert refused(run(folder, predictions, out, benchmarks), complaint)
        assert not out.exists()

    check("Did you mean 'mini_total'", "mini_totl")
    check("holds no finished items", folder=tmp_path)
    predictions.write_text("".join(line.text() for line in [*lines, lines[0]]))
    check("answers question 0 of mini_number twice")
    predictions.write_text("".join(line.text() for line in lines[1:]))
    check("lacks the answer to question 0 of mini_number")
    predictions.write_text("".join(replace(line, item="0" * 16).text() for line in lines))
    check("answers another question 0 of mini_number")
    changed = shutil.copytree(items_folder, tmp_path / "items")
    (changed / "test" / "mini_number.jsonl").write_text("{}\n")
    check("was changed after it was written", folder=changed)
