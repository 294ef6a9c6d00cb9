"""A reviewer's marks become a table of how often each rule misread, and cases for tests."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.statistics.intervals import wilson
from benchmarks.tools import import_marks
from frism.files import sha256_file
from tests.benchmarks.conftest import invoke, refused


def export(made, path: Path, verdicts: dict[int, str], **changes) -> Path:
    """Write marks of frism's answers to mini_number, as the page exports them."""
    own = pd.read_csv(made.results / "scores/frism.csv", dtype={"index": str}, keep_default_na=False)
    rows = own.query("benchmark == 'mini_number'").to_dict("records")
    marks = [
        {"benchmark": "mini_number", "index": rows[k]["index"], "variant": "frism", "verdict": verdict,
         "note": "n", "reading": "seven" if verdict == "misread" else "",
         "rule": rows[k]["rule"], "extracted": rows[k]["extracted"] or None}
        for k, verdict in verdicts.items()
    ]  # fmt: skip
    content = {"format": "frism-marks", "version": 1, "study": "made_up",
               "record": sha256_file(made.results / "study.json"), "marks": marks}  # fmt: skip
    path.write_text(json.dumps(content | changes))
    return path


def test_marks_are_counted_by_rule(made, tmp_path: Path):
    verdicts = {0: "right", 1: "right", 2: "misread", 3: "gold", 4: "ambiguous"}
    marks = export(made, tmp_path / "m.json", verdicts)
    done = invoke(import_marks.main, marks, "--results", made.results, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    table = pd.read_csv(tmp_path / "out/agreement.csv").set_index("rule")
    row = table.loc["all rules"]
    assert (row["reviewed"], row["read_right"], row["misread"], row["wrong_gold"], row["ambiguous"]) == (
        5,
        2,
        1,
        1,
        1,
    )
    low, high = wilson(1, 4)
    assert row["misread_share"] == 0.25
    assert (row["misread_share_low"], row["misread_share_high"]) == (round(low, 4), round(high, 4))
    answers = pd.read_parquet(made.results / "questions.parquet")
    assert row["answers"] == len(answers)
    assert table.loc["answer", "answers"] == (answers["rule"] == "answer").sum()
    cases = [json.loads(line) for line in (tmp_path / "out/cases.jsonl").read_text().splitlines()]
    assert len(cases) == 4 and [case["verdict"] for case in cases] == ["right", "right", "misread", "gold"]
    assert cases[2]["expected"] == "seven" and cases[0]["expected"] == cases[0]["extracted"]
    assert all(case["raw"] and case["kind"] for case in cases)


def test_reviewers_who_disagree_make_an_answer_ambiguous(made, tmp_path: Path):
    one = export(made, tmp_path / "a.json", {0: "right", 1: "misread"})
    two = export(made, tmp_path / "b.json", {0: "right", 1: "right"})
    done = invoke(import_marks.main, one, two, "--results", made.results, "--out", tmp_path / "out", "--json")
    rows = {row["rule"]: row for row in json.loads(done.stdout)}
    assert (rows["all rules"]["reviewed"], rows["all rules"]["ambiguous"]) == (2, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not valid JSON"),
        ("[]", "not an object"),
        ('{"format": "other"}', "is no export of a reviewer's marks"),
        (
            '{"format": "frism-marks", "version": 1, "study": "s", "marks": []}',
            "is no export of a reviewer's marks",
        ),
    ],
)
def test_other_files_are_refused(made, tmp_path: Path, content, complaint):
    (tmp_path / "m.json").write_text(content)
    done = invoke(
        import_marks.main, tmp_path / "m.json", "--results", made.results, "--out", tmp_path / "out"
    )
    assert refused(done, complaint) and not (tmp_path / "out").exists()


def test_marks_of_other_studies_and_answers_are_refused(made, tmp_path: Path):
    out = ("--results", made.results, "--out", tmp_path / "out")
    other = export(made, tmp_path / "a.json", {0: "right"}, study="another")
    assert refused(invoke(import_marks.main, other, *out), "holds marks of the study another")
    content = json.loads(export(made, tmp_path / "b.json", {0: "right"}).read_text())
    content["marks"][0]["extracted"] = "forty"
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert refused(invoke(import_marks.main, tmp_path / "b.json", *out), "review it again")
    content["marks"][0]["index"] = "9999"
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert refused(
        invoke(import_marks.main, tmp_path / "b.json", *out), "has no answer of frism to question 9999"
    )
    assert not (tmp_path / "out").exists()
