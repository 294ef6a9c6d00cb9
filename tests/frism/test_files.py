"""A file is whole or absent, and what the disk refuses is one sentence."""

import errno
import hashlib
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from frism.errors import UserError, report_errors
from frism.files import atomic_write, read_json, sha256_file


def test_written_file_appears_whole_under_its_name_only(tmp_path: Path) -> None:
    target = tmp_path / "new" / "table.csv"
    with atomic_write(target) as temporary:
        assert (temporary.parent, temporary.suffix) == (target.parent, ".csv")
        temporary.write_text("a,b\n")
        assert not target.exists()
    assert target.read_text() == "a,b\n"
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_mode_follows_the_umask_even_if_the_writer_is_stricter(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_write(tmp_path / "strict") as temporary:
        temporary.chmod(0o600)
    assert stat.S_IMODE((tmp_path / "strict").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with (
        pytest.raises(UserError, match=r"cannot write .*results.*not a folder"),
        atomic_write(tmp_path / "results" / "x.csv"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="no permission"), atomic_write(tmp_path / "x.csv"):
        pass
    tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="disk is full"), atomic_write(tmp_path / "x.csv"):
        Path("/dev/full").write_text("a real ENOSPC")
    assert [path.name for path in tmp_path.iterdir()] == []


@contextmanager
def small_files() -> Iterator[None]:
    """Let no file grow beyond a thousand bytes, as on a nearly full disk; pytest writes its log after it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_library_with_an_error_of_its_own_is_told_in_the_same_words(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"cannot write .*x\.safetensors: the file would be larger"),
        small_files(),
        atomic_write(tmp_path / "x.safetensors") as temporary,
    ):
        save_file({"a": torch.zeros(4096)}, temporary)
    assert not (tmp_path / "x.safetensors").exists()


def test_a_full_disk_is_told_where_no_file_is_in_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), report_errors():
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert capsys.readouterr().err.startswith("error: cannot write a file (No space left on device): free")


def test_other_errors_of_the_writer_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "x.csv"):
        (tmp_path / "absent").read_text()
    assert caught.value.errno == errno.ENOENT


def test_sha256_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()
    with pytest.raises(UserError, match="cannot read"):
        sha256_file(tmp_path / "y")


@pytest.mark.parametrize("content", ['{"a": 1', "[1]"])
def test_bad_json_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_reported_prints_one_line_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, report_errors():
        raise UserError("no such file.")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: no such file.\n"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("bytearray(1 << 50)", "error: memory ran out"),
     ("import torch; torch.zeros(1 << 50)", "error: memory ran out"),
     ("raise OSError(28, 'No space left on device', 'x')", "error: cannot write x (No space left on device)"),
     ("raise ImportError('x.so: failed to map: Cannot allocate memory')", "error: memory ran out (x.so")],
)  # fmt: skip
@pytest.mark.parametrize("inside", [True, False])
def test_a_machine_that_has_no_more_says_so_in_a_sentence(code: str, sentence: str, inside: bool) -> None:
    """In a command, and before it begins."""
    begin = "from frism.errors import explain_at_exit, report_errors; explain_at_exit()\n"
    program = f"{begin}with report_errors():\n    {code}" if inside else begin + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith(sentence) and len(done.stderr.splitlines()) == 1, done.stderr
