"""Prediction files: damaged lines are refused by number, and forged ones with a true checksum hurt nobody."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from benchmarks.answering.failures import Tolerance
from benchmarks.answering.predictions import (
    Prediction,
    StoredPrediction,
    compute_checksum,
    is_complete,
    open_store,
    read_predictions,
)
from benchmarks.questions import reading, writing
from benchmarks.questions.item import Item
from benchmarks.registry.lookup import find
from benchmarks.stages import score
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import HOSTILE, contents, lines_of, values

SUITES = ["mini_number", "mini_total"]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three test questions of two suites."""
    folder = tmp_path_factory.mktemp("items")
    writing.write_items(folder, [find(n).model_copy(update={"sha256": {}}) for n in SUITES], {"test": 3})
    return folder


def answer(item: Item, number: int) -> bytes:
    answered = Prediction(item, f"key{number}", f" {item.answer} ☃", 3, False, 0.25)
    return StoredPrediction.of(answered).text().encode()


def list_answers(items: Path) -> list[bytes]:
    questions = [item for group in reading.load_items(items, "test", SUITES).values() for item in group]
    return [answer(item, number) for number, item in enumerate(questions)]


@st.composite
def forged(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """A line with another value somewhere whose checksum is true again."""
    fields = json.loads(draw(st.sampled_from(lines)))
    fields.pop("sum")
    for _ in range(draw(st.integers(1, 2))):
        fields[draw(st.sampled_from([*fields, "sample", "failure", "reason"]))] = draw(values)
    try:
        total = compute_checksum(fields)
    except (UnicodeEncodeError, ValueError):
        total = ""
    return json.dumps({**fields, "sum": total}).encode() + b"\n"


ODD = [b"", b"\n", b"\n\n", b"null\n", b"[]\n", b"{}\n", b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n",
b"\xff\xfe\n", b"1" * 9000 + b"\n",
       b'{"key": "a", "key": "b"}\n', b"\0" * 100 + b"\n"]  # fmt: skip


def damaged_files(lines: list[bytes]) -> st.SearchStrategy[bytes]:
    whole = b"".join(lines)
    mixed = st.lists(forged(lines) | st.sampled_from(lines), min_size=1, max_size=6).map(b"".join)
    return contents(whole) | lines_of(lambda: lines) | mixed | st.sampled_from(ODD)


def test_damaged_predictions_are_refused_or_are_those_that_were_written(
    try_cases: Try, items: Path, tmp_path: Path
) -> None:
    """What is read without a complaint was written by somebody who can compute a checksum, and well-typed."""
    lines, path = list_answers(items), tmp_path / "v.jsonl"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = attempt(lambda: read_predictions(path), path)
        for line in [] if isinstance(found, Refusal) else found:
            assert line.sum == compute_checksum(vars(line))
            assert all(
                isinstance(v, str) for v in (line.key, line.benchmark, line.index, line.item, line.raw)
            )
            assert line.tokens is None or (type(line.tokens) is int and line.tokens >= 0)
            assert line.seconds is None or 0 <= line.seconds < float("inf")
            assert line.sample is None or type(line.sample) is int

    try_cases(damaged_files(lines), check, few=60)


def test_a_damaged_store_is_refused_or_goes_on(try_cases: Try, items: Path, tmp_path: Path) -> None:
    lines, path = list_answers(items), tmp_path / "v.jsonl"
    wanted = [json.loads(line)["key"] for line in lines]

    def check(content: bytes) -> None:
        path.write_bytes(content)

        def resume() -> None:
            is_complete(path, wanted, Tolerance(None, {}))
            with open_store(path, wanted) as store:
                assert store.done <= set(wanted)

        if not isinstance(attempt(resume, path), Refusal):
            again = read_predictions(path)
            assert [line.key for line in again] == list(dict.fromkeys(line.key for line in again))
        else:
            assert path.read_bytes() == content, "what cannot be read is kept for the user"

    try_cases(damaged_files(lines), check)


def test_damaged_predictions_are_never_scored_wrong(try_cases: Try, items: Path, tmp_path: Path) -> None:
    lines, path, out = list_answers(items), tmp_path / "v.jsonl", tmp_path / "scores.csv"
    path.write_bytes(b"".join(lines))
    score.run("v", SUITES, path, items, out)
    right = out.read_bytes()

    def check(content: bytes) -> None:
        path.write_bytes(content)
        out.unlink(missing_ok=True)
        refused = isinstance(attempt(lambda: score.run("v", SUITES, path, items, out), path, items), Refusal)
        assert refused != out.exists()
        if sorted(content.splitlines()) == sorted(b"".join(lines).splitlines()):
            assert out.read_bytes() == right

    try_cases(damaged_files(lines), check, few=15)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_are_scored(text: str, items: Path, tmp_path: Path) -> None:
    """Whatever a model says: right or wrong, in bounded time, and nothing of it runs."""
    questions = [item for group in reading.load_items(items, "test", SUITES).values() for item in group]
    said = text.encode("utf-8", errors="replace").decode()
    answers = [Prediction(item, f"key{n}", said, 3, False, 0.25) for n, item in enumerate(questions)]
    path = tmp_path / "v.jsonl"
    path.write_text("".join(StoredPrediction.of(a).text() for a in answers), encoding="utf-8")
    attempt(lambda: score.run("v", SUITES, path, items, tmp_path / "scores.csv"), path)
    assert (tmp_path / "scores.csv").exists()
    assert not (tmp_path / "hacked").exists()


def test_damaged_items_are_refused_or_are_those_that_were_written(
    try_cases: Try, items: Path, tmp_path: Path
) -> None:
    """The questions' own files: manifest, definitions and lines."""
    import shutil

    folder = Path(shutil.copytree(items, tmp_path / "items"))
    expected = reading.load_items(folder, "test", SUITES)
    names = ["manifest.json", "benchmarks.json", "test/mini_total.jsonl"]
    whole = {name: (folder / name).read_bytes() for name in names}

    def check(case: tuple[str, bytes]) -> None:
        name, content = case
        (folder / name).write_bytes(content)
        try:

            def read() -> Any:
                found = reading.load_items(folder, "test", SUITES)
                from benchmarks.questions.item import read_definition

                for group in found.values():
                    read_definition(group[0])
                return found

            found = attempt(read, folder)
            assert isinstance(found, Refusal) or found == expected
        finally:
            (folder / name).write_bytes(whole[name])

    from tests.bad_input.damage import json_files

    damaged = {
        name: contents(content)
        | (json_files(json.loads(content)) if name.endswith(".json") else st.nothing())
        for name, content in whole.items()
    }
    cases = st.sampled_from(names).flatmap(lambda name: damaged[name].map(lambda content: (name, content)))
    try_cases(cases, check)
