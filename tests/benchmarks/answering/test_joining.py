"""Answers of several processes or jobs, joined: what one would have written, times apart, or a sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.answering import keys
from benchmarks.answering.answer import predict
from benchmarks.answering.joining import join_parts
from benchmarks.answering.predictions import StoredPrediction, compute_checksum, read_predictions
from benchmarks.questions import reading
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

SUITES = ["mini_number", "mini_total"]
SETTINGS = EngineSettings(batch_size=3, max_new_tokens=4)
Answer = Callable[[str, tuple[int, int]], Path]


@pytest.fixture(scope="module")
def answer(triple: Triple, items_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """A function that answers a share of the questions, once."""
    folder = tmp_path_factory.mktemp("answers")
    recipe, items = Recipe.make(triple, "vlm", {}), reading.load_items(items_folder, "test", SUITES)

    def give(name: str, share: tuple[int, int]) -> Path:
        path = folder / f"{name}.jsonl"
        if not path.exists():
            predict(triple, recipe, Fitted(), items, SETTINGS, items_folder, path, share)
        return path

    return give


def without_times(path: Path) -> list[StoredPrediction]:
    return [replace(line, seconds=0.0, sum="") for line in read_predictions(path)]


@pytest.mark.parametrize("count", [1, 2, 3, 11])
def test_parts_make_the_whole(answer: Answer, count: int, tmp_path: Path) -> None:
    """In the order of one process, with its provenance to the byte; more jobs than batches is no fault."""
    whole = answer("whole", (0, 1))
    parts = [answer(f"{number}of{count}", (number, count)) for number in range(count)]
    join_parts(parts, tmp_path / "joined.jsonl", None)
    assert without_times(tmp_path / "joined.jsonl") == without_times(whole)
    provenance = [keys.get_provenance_path(path).read_bytes() for path in (whole, tmp_path / "joined.jsonl")]
    assert provenance[0] == provenance[1]


def edit(path: Path, out: Path, change: Callable[[list[dict]], list[dict]]) -> Path:
    """Copy a part with other lines, whose sums are true, and its provenance."""
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    text = (json.dumps({**line, "sum": compute_checksum(line)}) + "\n" for line in lines)
    out.write_text("".join(text))
    keys.get_provenance_path(out).write_bytes(keys.get_provenance_path(path).read_bytes())
    return out


def test_an_answer_that_two_parts_hold_is_refused(answer: Answer, tmp_path: Path) -> None:
    first, second = (answer(f"{number}of2", (number, 2)) for number in range(2))
    taken = json.loads(first.read_text().splitlines()[0])
    doubled = edit(second, tmp_path / "doubled.jsonl", lambda lines: [*lines, taken])
    with pytest.raises(UserError, match="holds an answer that another part holds"):
        join_parts([first, doubled], tmp_path / "joined.jsonl", None)
    assert not (tmp_path / "joined.jsonl").exists()


def test_an_answer_that_no_batch_asks_for_is_refused(answer: Answer, tmp_path: Path) -> None:
    first, second = (answer(f"{number}of2", (number, 2)) for number in range(2))
    strange = edit(second, tmp_path / "strange.jsonl", lambda lines: [{**lines[0], "key": "f" * 16}, *lines])
    with pytest.raises(UserError, match="has answers that no batch of the parts asks for"):
        join_parts([first, strange], tmp_path / "joined.jsonl", None)


@pytest.mark.parametrize("what", ["origin", "engine"])
def test_parts_of_different_making_are_refused(what: str, answer: Answer, tmp_path: Path) -> None:
    first, second = (answer(f"{number}of2", (number, 2)) for number in range(2))
    other = edit(second, tmp_path / "other.jsonl", lambda lines: lines)
    path = keys.get_provenance_path(other)
    path.write_text(json.dumps({**json.loads(path.read_text()), what: {}}))
    with pytest.raises(UserError, match=f"were answered with another {what}"):
        join_parts([first, other], tmp_path / "joined.jsonl", None)
