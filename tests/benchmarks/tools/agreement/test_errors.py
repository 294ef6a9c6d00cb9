"""Recorded outputs that cannot be used end in one sentence, and nothing is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tools.agreement.__main__ import main
from tests.benchmarks.conftest import invoke, refused
from tests.support import mirrors, tsvs

LINE = {"model": "a", "index": "0", "raw": "A", "reference_correct": True, "reference_extracted": "A"}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    tsvs.make("MMStar", tmp_path, 6)
    return tmp_path


def write(folder: Path, *lines: dict[str, Any] | str, name: str = "MMStar") -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / f"{name}.outputs.jsonl").write_text("\n".join(texts) + "\n")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([LINE, {k: v for k, v in LINE.items() if k != "raw"}], "outputs.jsonl, line 2: raw: Field required"),
        ([LINE | {"reference_correct": "maybe"}], "line 1: reference_correct: Input should be a valid bool"),
        (["", "{"], "line 2: no JSON"),
        ([LINE, LINE | {"raw": "B"}], "two outputs of a to question 0"),
        ([LINE | {"index": "77"}], "MMStar.tsv, with 6 questions, has no question 77"),
        ([], "holds no output"),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_used(outputs: Path, lines: list[Any], complaint: str) -> None:
    write(outputs, *lines)
    assert refused(invoke(main, outputs, "--out", outputs / "out"), complaint)
    assert not (outputs / "out").exists()


def test_an_unknown_source_names_the_nearest(outputs: Path) -> None:
    write(outputs, LINE)
    result = invoke(main, outputs, "--out", outputs / "out", "--sources", "MMStar, MMSta")
    assert refused(result, "no source 'MMSta' (MMStar)") and "Did you mean 'MMStar'?" in result.stderr


def test_a_folder_without_outputs(tmp_path: Path) -> None:
    assert refused(invoke(main, tmp_path, "--out", tmp_path / "out"), "holds no NAME.outputs.jsonl")


def test_text_sources_need_their_data_set(tmp_path: Path) -> None:
    write(tmp_path, LINE | {"index": "9"}, name="gsm8k")
    command = (tmp_path, "--out", tmp_path / "out")
    assert refused(invoke(main, *command), "name the folder that stands for the hub with --mirror")
    assert refused(invoke(main, *command, "--mirror", tmp_path / "none"), "there is no folder")
    (tmp_path / "empty").mkdir()
    assert refused(invoke(main, *command, "--mirror", tmp_path / "empty"), "holds no openai/gsm8k")
    mirrors.gsm8k(tmp_path / "mirror")
    result = invoke(main, *command, "--mirror", tmp_path / "mirror")
    assert refused(result, "gsm8k, with 6 rows from 0, has no question 9")


def test_a_name_that_is_no_text_benchmark(tmp_path: Path) -> None:
    write(tmp_path, LINE, name="gsm9k")
    (tmp_path / "mirror").mkdir()
    assert refused(invoke(main, tmp_path, "--out", tmp_path / "o", "--mirror", tmp_path / "mirror"), "gsm9k")


def test_problems_with_one_index_twice(tmp_path: Path) -> None:
    write(tmp_path, LINE, name="own")
    problem = json.dumps({"index": "0", "problem": "1 + 1?", "answer": "2"})
    (tmp_path / "own.questions.jsonl").write_text(f"{problem}\n{problem}\n")
    assert refused(invoke(main, tmp_path, "--out", tmp_path / "o"), "has an index twice")
    (tmp_path / "own.questions.jsonl").write_text('{"index": "0", "problem": "1 + 1?"}\n')
    assert refused(invoke(main, tmp_path, "--out", tmp_path / "o"), "line 1: answer: Field required")
