"""Agreement with reference judgements: counts, kappa, kinds of fault of made outputs, worked out by hand."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.tools.agreement.__main__ import main
from tests.benchmarks.conftest import invoke
from tests.support import mirrors, tsvs

ROOT = Path(__file__).resolve().parents[4]
Line = tuple[str, int, str, bool | None, str]


def write(folder: Path, name: str, lines: Iterable[Line]) -> None:
    fields = ("model", "index", "raw", "reference_correct", "reference_extracted")
    text = "".join(json.dumps(dict(zip(fields, line, strict=True))) + "\n" for line in lines)
    (folder / f"{name}.outputs.jsonl").write_text(text)


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def choices(folder: Path) -> None:
    """Ten answers of one model and two of another, of which ours, stock and the reference judge some unlike.

    Right to ours and the reference: 0 to 4, and b's 0; to ours alone: 5; to the reference alone: 6, b's 1.
    """
    right = tsvs.right_answers(tsvs.make("MMStar", folder, 12))
    other = ["ABCD"[("ABCD".index(letter) + 1) % 4] for letter in right]
    third = ["ABCD"[("ABCD".index(letter) + 2) % 4] for letter in right]
    plain = [("a", i, f"The answer is {right[i]}.", True, right[i]) for i in range(4)]
    wrong = [("a", i, f"The answer is {other[i]}.", False, other[i]) for i in (7, 8, 9)]
    chain = f"Neither {other[4]} nor {third[4]} will do, so it is \\boxed{{{right[4]}}}"
    write(
        folder,
        "MMStar",
        [
            *plain,
            ("a", 4, chain, True, f"({right[4]})"),
            ("a", 5, f"The answer is {right[5]}.", False, other[5]),
            ("a", 6, f"<think> {right[6]}", True, right[6]),
            *wrong,
            ("b", 0, right[0], True, right[0]),
            ("b", 1, "That is hard to say.", True, "hard"),
        ],
    )


def numbers(folder: Path) -> Path:
    """Judged by their JSON field: right, wrong, without one; GSM8K's answers are 42, 1042, 2042."""
    mirrors.gsm8k(folder / "mirror")
    said = [
        '{"reasoning": "40 + 2", "answer": "42"}',
        '{"reasoning": "1,040 + 1", "answer": "1041"}',
        "The answer is 2042.",
    ]
    write(folder, "gsm8k", [("z", i, raw, None, "") for i, raw in enumerate(said)])
    return folder / "mirror"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    choices(folder)
    mirror = numbers(folder)
    result = invoke(main, folder, "--mirror", mirror, "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


def row_of(table: pd.DataFrame, **wanted: Any) -> pd.Series:
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_agreement_and_kappa_are_those_worked_out_by_hand(measured: Path) -> None:
    """6 right to both, 3 wrong to both, 1 and 2 apart: agreement 9/12, by chance 76/144, kappa 8/17."""
    row = row_of(read(measured, "agreement"), source="MMStar", reference="as published")
    assert (row["n"], row["reference_right"], row["ours_right"]) == (
        12,
        pytest.approx(8 / 12),
        pytest.approx(7 / 12),
    )
    assert row["ours_agreement"] == pytest.approx(9 / 12)
    assert row["ours_kappa"] == pytest.approx(8 / 17)
    assert row["ours_kappa_low"] < 8 / 17 < row["ours_kappa_high"] <= 1
    assert row["stock_agreement"] == pytest.approx(9 / 12)
    assert row["math_verify_n"] == 0 and pd.isna(row["math_verify_kappa"])


def test_a_guess_of_the_reference_is_wrong_to_the_strict_one(measured: Path) -> None:
    """It then agrees with ours on b's 1, too."""
    row = row_of(read(measured, "agreement"), source="MMStar", reference="strict")
    assert row["reference_right"] == pytest.approx(7 / 12)
    assert row["ours_agreement"] == pytest.approx(10 / 12)


def test_who_alone_is_right_is_counted(measured: Path) -> None:
    """Stock reads the letter of an unfinished thought; ours the box behind two other letters."""
    row = row_of(read(measured, "agreement"), source="MMStar", reference="as published")
    assert (row["stock_right_ours_wrong"], row["ours_right_stock_wrong"]) == (1, 1)
    assert row["ours_right_stock_wrong_share"] == pytest.approx(1 / 12)


def test_every_model_has_its_own_row(measured: Path) -> None:
    table = read(measured, "models")
    a = row_of(table, source="MMStar", model="a")  # no guess: no strict row
    b = row_of(table, source="MMStar", model="b", reference="strict")
    assert (a["n"], a["ours_agreement"]) == (10, pytest.approx(0.8))
    assert (b["n"], b["ours_agreement"]) == (2, 1.0)


def test_disagreements_say_what_each_side_read(measured: Path) -> None:
    table = read(measured, "disagreements")
    columns = ["model", "index", "verdict", "reading", "rule", "stock_agrees", "guessed"]
    found = {tuple(row) for row in table.loc[table["source"] == "MMStar", columns].itertuples(index=False)}
    assert found == {
        ("a", 5, "gives", "read another answer", "answer phrase", False, False),
        ("a", 6, "loses", "read nothing", "unfinished thought", True, False),
        ("b", 1, "loses", "read nothing", "whole text, but no option", False, True),
    }
    faults = read(measured, "faults")
    assert row_of(faults, source="MMStar", rule="unfinished thought")["stock_agrees"] == 1
    assert faults["n"].sum() == len(table)


def test_without_a_reference_the_json_field_is_compared(measured: Path) -> None:
    """Ours finds the third answer, which the field does not hold; math-verify judges the raw texts."""
    row = row_of(read(measured, "agreement"), source="gsm8k")
    assert (row["n"], row["math_verify_n"]) == (3, 3)
    assert row["reference_right"] == pytest.approx(1 / 3)
    assert (row["ours_right"], row["ours_agreement"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    third = row_of(read(measured, "disagreements"), source="gsm8k")
    assert (third["index"], third["verdict"], third["reading"]) == (2, "gives", "reading not recorded")


def test_the_page_shows_intervals_and_faults(measured: Path) -> None:
    text = (measured / "agreement.md").read_text()
    assert "0.7500, 0.471 [" in text and "1 (8.33%) | 1 (8.33%)" in text
    assert "| MMStar | loses | read nothing | unfinished thought | 1 | 1 | 0 |" in text


def test_problems_of_ones_own_are_judged_as_math(tmp_path: Path) -> None:
    problems = [("p", "What is half of one?", "\\frac{1}{2}"), ("q", "Two roots of two?", "2\\sqrt{2}")]
    lines = [json.dumps(dict(zip(("index", "problem", "answer"), p, strict=True))) for p in problems]
    (tmp_path / "own.questions.jsonl").write_text("\n".join(lines))
    said = [("m", "p", "It is \\boxed{0.5}", True, "0.5"), ("m", "q", "\\boxed{3}", False, "3")]
    write(tmp_path, "own", said)  # type: ignore[arg-type]
    result = invoke(main, tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    row = row_of(read(tmp_path / "out", "agreement"), source="own")
    assert (row["ours_right"], row["ours_agreement"], row["ours_kappa"]) == (0.5, 1.0, 1.0)
    assert read(tmp_path / "out", "disagreements").empty


def test_no_bar_of_a_library_reaches_the_terminal(tmp_path: Path) -> None:
    """lm-eval shows one per model; ours are lines in a log."""
    mirror = numbers(tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "TQDM_DISABLE"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.tools.agreement", tmp_path, "--mirror", mirror, "--out",
            tmp_path / "o",
        ],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        line for line in done.stderr.splitlines() if "agreement: gsm8k: 1 of 1" in line
    ]
