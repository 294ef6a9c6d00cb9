"""What a study leaves on the disk: damaged records, scores and choices are refused or mean the same."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import strategies as st

from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_choice, read_dev, read_run, read_scores, read_text
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.files import write_json
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import HOSTILE, contents, json_files
from tests.support import synthetic_study

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("vlm", "inject", "interp")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyConfig]:
    """A made-up study's results, of three variants, and its config."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        everything = synthetic_study.config(
            engine={"name": "transformers", "max_new_tokens": 8}, questions={"dev": 2, "test": 3}
        )
        config = {**everything, "variants": {name: everything["variants"][name] for name in NAMES}}
        folder = synthetic_study.make(tmp_path_factory.mktemp("made"), config, n=3, n_dev=2)
    study = StudyConfig.make(config, "the made-up study")
    write_json(folder / "study.json", {"config": study.model_dump(mode="json")})
    return folder, study


@pytest.fixture
def results(made: tuple[Path, StudyConfig], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made[0], tmp_path / "results"))


def test_a_damaged_record_is_refused_or_another_study(try_cases: Try, results: Path) -> None:
    path = results / "study.json"
    whole = json.loads(path.read_text())

    def check(content: bytes) -> None:
        path.write_bytes(content)
        for read in (StudyConfig.read, TuneSlice.read):
            attempt(lambda read=read: read(path), path)

    try_cases(json_files(whole) | json_files({"config": {"study": "x", "variants": {}}}), check)


Reader = Callable[[Path, StudyConfig], pd.DataFrame]


@pytest.mark.parametrize(
    ("name", "read"),
    [("scores/inject.csv", read_scores), ("text/inject.csv", read_text), ("variants/inject/dev.csv",
    read_dev),
     ("scores/inject.csv", lambda folder, _: read_run(folder / "scores/inject.csv"))],
    ids=["scores", "text", "dev", "run"],
)  # fmt: skip
def test_damaged_scores_are_refused_or_count_as_they_stand(
    name: str, read: Reader, try_cases: Try, results: Path, made: tuple[Path, StudyConfig]
) -> None:
    """Whatever is read has scores from 0 to 1, of the questions that the reference answered."""
    path, study = results / name, made[1]
    whole = path.read_bytes()
    head, *rows = whole.decode().splitlines()

    def check(content: bytes) -> None:
        path.write_bytes(content)
        frame = attempt(lambda: read(results, study), path, results)
        if not isinstance(frame, Refusal) and len(frame):
            if "n" in frame:
                assert frame["correct"].between(0, frame["n"]).all()
            else:
                assert frame["correct"].between(0, 1).all()

    cells = st.sampled_from([*HOSTILE, "2", "-1", "0.5", "True", "1.0", "1" * 400])
    odd = [b"", b"\n", head.encode(), head.encode() + b"\n", whole * 2, b"\0" * 100, b'"' + b"x" * 1000]

    @st.composite
    def with_a_cell(draw: st.DrawFn) -> bytes:
        lines = list(rows)
        number = draw(st.integers(0, len(lines) - 1))
        parts = lines[number].split(",")
        parts[draw(st.integers(0, len(parts) - 1))] = draw(cells)
        lines[number] = ",".join(parts)
        return "\n".join([head, *lines, ""]).encode("utf-8", errors="surrogatepass")

    try_cases(contents(whole) | with_a_cell() | st.sampled_from(odd), check, few=20)


def test_a_damaged_choice_is_refused_or_read(try_cases: Try, results: Path) -> None:
    path = results / "variants/inject/choice.json"
    whole: Any = json.loads(path.read_text())

    def check(content: bytes) -> None:
        path.write_bytes(content)
        choice = attempt(lambda: read_choice(results, "inject"), path)
        if not isinstance(choice, Refusal) and choice:
            assert isinstance(choice["params"], dict) and type(choice["point"]) is int

    try_cases(json_files(whole), check, few=30)
