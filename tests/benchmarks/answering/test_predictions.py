"""The store: appended to, resumed, never mixed; whatever a kill leaves of its last line."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.answering.predictions import Prediction, StoredPrediction, open_store, read_predictions
from benchmarks.questions.item import Item
from frism.errors import UserError

FOLDER = Path("items")


def prediction(key: str, raw: str = " three") -> Prediction:
    item = Item("mini_total", "test", key, ({"type": "text", "value": key},), "three", (), FOLDER)
    return Prediction(item, key, raw, 1, False, 0.25)


def store(path: Path, keys: list[str], raw: str = " three") -> None:
    with open_store(path, keys) as stored:
        stored.append([prediction(key, raw) for key in keys])


@given(st.text(), st.integers(0), st.booleans(), st.floats(0, 1e6))
def test_a_line_survives_writing_and_reading(raw: str, tokens: int, truncated: bool, seconds: float) -> None:
    raw = raw.encode("utf-8", errors="replace").decode()
    line = StoredPrediction.of(Prediction(prediction("a").item, "a", raw, tokens, truncated, seconds))
    text = line.text()
    assert text.count("\n") == 1
    assert '"seconds"' in text


@settings(max_examples=40)
@given(st.integers(0, 400))
def test_a_cut_file_loses_at_most_its_last_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path, keys = tmp_path_factory.mktemp("cut") / "v.jsonl", ["a", "b", "c"]
    store(path, keys, "drei ☃")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    kept = [line.key for line in read_predictions(path)]
    assert kept == keys[: len(kept)]
    if cut <= 1:
        assert len(kept) >= 2
    store(path, keys, "drei ☃")
    assert path.read_bytes() == whole


@settings(max_examples=60)
@given(st.data())
def test_a_changed_line_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any other value of any field, in a line that is still valid JSON."""
    path, keys = tmp_path_factory.mktemp("changed") / "v.jsonl", ["a", "b", "c"]
    store(path, keys)
    lines = path.read_text().splitlines()
    place = data.draw(st.integers(0, 2))
    fields = json.loads(lines[place])
    field = data.draw(st.sampled_from(sorted(fields)))
    other = data.draw(st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False)))
    if type(other) is type(fields[field]) and other == fields[field]:
        return
    fields[field] = other
    lines[place] = json.dumps(fields)
    path.write_text("\n".join(lines) + "\n")
    for use in (lambda: read_predictions(path), lambda: store(path, keys)):
        with pytest.raises(UserError, match=rf"v\.jsonl, line {place + 1} was changed after it was written"):
            use()


def test_only_what_is_missing_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "v.jsonl"
    store(path, ["a", "b"], "first")
    inode = path.stat().st_ino
    store(path, ["a", "b", "c"], "second")
    assert [(line.key, line.raw) for line in read_predictions(path)] == [
        ("a", "first"),
        ("b", "first"),
        ("c", "second"),
    ]
    assert path.stat().st_ino == inode, "an intact file is appended to, not rewritten"


def test_other_keys_and_doubles_go(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    store(path, ["old", "b"])
    path.write_text(path.read_text() * 2)
    with open_store(path, ["b", "c"]) as stored:
        assert (stored.done, stored.dropped) == ({"b"}, 3)
    assert [line.key for line in read_predictions(path)] == ["b"]


def test_lines_are_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    with open_store(tmp_path / "v.jsonl", ["a", "b"]) as stored:
        stored.append([prediction("a")])
        stored.append([prediction("b")])
    assert synced == [synced[0], 2 * synced[0]]


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    with pytest.raises(UserError, match="cannot read"):
        read_predictions(path)
    store(path, ["a", "b"])
    path.write_text("{\n" + path.read_text())
    for use in (read_predictions, lambda p: store(p, ["a"])):
        with pytest.raises(UserError, match=r"v\.jsonl, line 1 is not a prediction"):
            use(path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        store(tmp_path / "file" / "v.jsonl", ["a"])


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_store(tmp_path / "v.jsonl", ["a"]) as stored:
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(UserError, match=r"cannot write .*v\.jsonl \(No space left"):
            stored.append([prediction("a")])
