"""A checkpoint that is changed under a command: nothing written after it gets its name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from frism.checkpoints.sources import watch_sources
from frism.errors import UserError
from frism.files import atomic_write, write_json
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


def replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def change_in_place(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(b"\0\0\0\0")


CHANGES: dict[str, Callable[[Path], None]] = {
    "replaced": replace_by_a_copy,
    "in place": change_in_place,
    "touched": os.utime,
    "back in time": lambda path: os.utime(path, (0, 0)),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("role", ["base", "vlm", "lrm"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("how", CHANGES)
def test_nothing_gets_a_name_after_a_change(
    role: str, name: str, how: str, copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    watch_sources()
    triple = Triple.open(**copied_folders)
    write_json(tmp_path / "before.json", triple.digest)
    CHANGES[how](copied_folders[role] / name)
    with pytest.raises(UserError, match=f"{role}/{name} was changed while this command worked with it"):
        write_json(tmp_path / "after.json", {})
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["before.json"]


def test_spectra_of_replaced_weights_are_not_kept(copied_folders: dict[str, Path], tmp_path: Path) -> None:
    watch_sources()
    spectra = Spectra(Triple.open(**copied_folders), folder=tmp_path / "spectra")
    first, second, *_ = spectra.triple.names()
    spectra.ensure(first)
    replace_by_a_copy(copied_folders["lrm"] / "model.safetensors")
    with pytest.raises(UserError, match=r"lrm/model\.safetensors was changed"):
        spectra.ensure(second)
    assert [path.stem for path in (tmp_path / "spectra").rglob("*.safetensors")] == [first]


def test_a_library_that_is_called_is_not_watched(copied_folders: dict[str, Path], tmp_path: Path) -> None:
    Triple.open(**copied_folders)
    replace_by_a_copy(copied_folders["lrm"] / "model.safetensors")
    with atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "file").read_text() == "x"
