"""A remembered sha256 is that of the file as it is now."""

import os
import time
from pathlib import Path

import pytest

from frism import cache
from frism.checkpoints import digests
from frism.checkpoints.digests import recall_sha256
from frism.files import sha256_file


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were really read, with a memory of our own and no file too small for it."""
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.delenv("FRISM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "MIN_BYTES", 0)
    monkeypatch.setattr(cache, "SETTLE_SECONDS", 0.02)
    monkeypatch.setattr(digests, "sha256_file", counted)
    return read


def settled(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    time.sleep(0.05)
    return path


def test_an_untouched_file_is_read_once(tmp_path: Path, hashed: list[Path]) -> None:
    path = settled(tmp_path / "weights", b"one")
    assert recall_sha256(path) == recall_sha256(path) == sha256_file(path)
    assert hashed == [path]


def test_any_change_is_noticed_also_with_old_times_and_size(tmp_path: Path, hashed: list[Path]) -> None:
    path = settled(tmp_path / "weights", b"one")
    times = path.stat()
    recall_sha256(path)
    settled(path, b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert recall_sha256(path) == sha256_file(path)
    settled(tmp_path / "other", b"six").replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert recall_sha256(path) == sha256_file(path)


def test_a_file_of_just_now_is_not_remembered(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SETTLE_SECONDS", 60.0)
    path = settled(tmp_path / "weights", b"one")
    recall_sha256(path)
    recall_sha256(path)
    assert hashed == [path, path]


@pytest.mark.parametrize("memory", ["not json", "[]", '{"a": '])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, hashed: list[Path], memory: str) -> None:
    (tmp_path / "cache/frism").mkdir(parents=True)
    (tmp_path / "cache/frism/sha256.json").write_text(memory)
    path = settled(tmp_path / "weights", b"one")
    assert recall_sha256(path) == recall_sha256(path) == sha256_file(path)
    assert hashed == [path]


def test_without_a_place_to_remember_it_still_answers(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "file"))
    path = settled(tmp_path / "weights", b"one")
    assert recall_sha256(path) == recall_sha256(path) == sha256_file(path)
