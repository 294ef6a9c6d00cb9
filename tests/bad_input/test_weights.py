"""Checkpoints: damaged headers, shards, indices, configs and pickles, against the safetensors library."""

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from safetensors import numpy as safetensors_numpy
from safetensors.torch import load_file, save

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.headers import read_headers
from frism.checkpoints.index import INDEX, WEIGHTS
from frism.errors import UserError
from frism.triples.triple import Triple
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import contents, json_files, nest, serialise, structures, texts, values

TENSORS = {
    "model.a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "model.a.b": torch.ones(4, dtype=torch.bfloat16),
    "model.A": torch.zeros(2, 2, dtype=torch.int64),
    "model.": torch.tensor(3.5),
    "empty": torch.zeros(0, 3),
}
WHOLE = save(TENSORS, {"format": "pt"})
LENGTH = int.from_bytes(WHOLE[:8], "little")
TABLE: dict[str, Any] = json.loads(WHOLE[8 : 8 + LENGTH])
VALUES = WHOLE[8 + LENGTH :]


def pack(table: Any, values: bytes = VALUES, length: int | None = None) -> bytes:
    """A file with this table of contents, true or not."""
    head = table if isinstance(table, bytes) else serialise(table)
    return (len(head) if length is None else length).to_bytes(8, "little") + head + values


ENTRY = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS = [
    b"", b"\0" * 7, b"\0" * 8, b"\xff" * 8, b"\xff" * 16, pack(b""), pack(b"{}", b""), pack(b"[]"),
    pack(b"null"),
    pack(b"[" * 100_000), pack(b'{"a":' * 100_000), pack(serialise(nest(500))), pack(TABLE, length=2**62),
    pack(TABLE, length=0),
    pack(TABLE, length=10**9), pack(TABLE, VALUES + b"x"), pack(TABLE, VALUES[:-1]), pack(TABLE, b""),
    pack({"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 4]}}, b"1234"),
    pack({"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}, b""),
    pack({"a": {"dtype": "F32", "shape": [1], "data_offsets": [2**63, 2**63 + 4]}}, b"1234"),
    pack({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    pack({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
    pack(b'{"a":%s,"a":%s}' % (ENTRY, ENTRY), b"1234"),
    pack({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1],
    "data_offsets": [0, 4]}}, b"1234"),
    pack({"__metadata__": {"format": "pt"}}, b""), pack({"__metadata__": "x"}, b""),
    pack({"__metadata__": {"a": 1}}, b""),
    pack({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"1"), pack({"a": {"dtype": "Q8",
    "shape": [1], "data_offsets": [0, 1]}}, b"1"),
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04" + b"\0" * 60,
]  # fmt: skip


def read_all(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a file as the headers find it."""
    whole = path.read_bytes()
    return {name: (h.dtype, h.shape, whole[h.start : h.end]) for name, h in read_headers(path).items()}


def assert_same_as_the_library(path: Path, found: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """The same names, dtypes, shapes and bytes as the library finds in the file."""
    table = dict(safetensors_numpy.deserialize(path.read_bytes()))
    assert found == {n: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for n, t in table.items()}


def test_a_damaged_header_is_refused_or_read_as_the_library_reads_it(try_cases: Try, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = attempt(lambda: read_all(path), path)
        if not isinstance(found, Refusal):
            assert_same_as_the_library(path, found)

    offsets = st.lists(
        st.sampled_from([0, 1, 4, 8, 24, 40, 72, 76, 2**31, 2**64, -1]), min_size=0, max_size=3
    )
    entries = values | offsets
    files = (
        structures(TABLE, entries).map(pack)
        | contents(WHOLE)
        | st.sampled_from(HEADERS)
        | st.dictionaries(texts, st.just(TABLE["model.a"])).map(pack)
    )
    try_cases(files, check, few=60)


@pytest.mark.parametrize("content", HEADERS, ids=range(len(HEADERS)))
def test_every_odd_header_ends_well(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    found = attempt(lambda: read_all(path), path)
    if not isinstance(found, Refusal):
        assert_same_as_the_library(path, found)


@pytest.fixture
def sharded(triple_folders: dict[str, Path], tmp_path: Path) -> Path:
    """A checkpoint in two shards with an index."""
    folder = tmp_path / "sharded"
    shutil.copytree(triple_folders["base"], folder)
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    weight_map = {name: f"model-{1 + (number % 2)}.safetensors" for number, name in enumerate(names)}
    for shard in sorted(set(weight_map.values())):
        (folder / shard).write_bytes(save({n: tensors[n] for n in names if weight_map[n] == shard}))
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return folder


def damage_file(path: Path, read: Callable[[], Any], *subjects: object) -> Callable[[bytes], None]:
    """A check that writes a damaged file, reads, and puts the whole one back."""
    whole = path.read_bytes()

    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            attempt(read, *subjects)
        finally:
            path.write_bytes(whole)

    return check


def test_a_damaged_index_is_refused_or_means_the_same(try_cases: Try, sharded: Path) -> None:
    whole = json.loads((sharded / INDEX).read_text())
    expected = {name: header.shape for name, header in Checkpoint(sharded).tensors.items()}
    short = {**whole, "weight_map": dict(list(whole["weight_map"].items())[:6])}

    def read() -> None:
        found = {name: header.shape for name, header in Checkpoint(sharded).tensors.items()}
        assert found == expected

    try_cases(json_files(whole) | json_files(short), damage_file(sharded / INDEX, read, sharded), few=30)


@pytest.mark.parametrize("role", ["lrm", "vlm"])
def test_a_damaged_config_of_a_checkpoint_is_refused_or_opened(
    role: str, try_cases: Try, copied_folders: dict[str, Path]
) -> None:
    """Whatever config.json says, a triple is opened or refused; nobody's code runs."""
    path = copied_folders[role] / "config.json"
    check = damage_file(path, lambda: Triple.open(**copied_folders), *copied_folders.values(), "config.json")
    try_cases(json_files(json.loads(path.read_text())), check, few=30)


def test_a_damaged_tokenizer_is_refused_or_opened(try_cases: Try, copied_folders: dict[str, Path]) -> None:
    path = copied_folders["lrm"] / "tokenizer.json"
    check = damage_file(path, lambda: Triple.open(**copied_folders), *copied_folders.values(), "config.json")
    try_cases(contents(path.read_bytes()), check, few=15)


class Run:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hacked",)


def zipped(value: Any, module: Any = pickle) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, pickle_module=module)
    return stream.getvalue()


PICKLES = [
    pickle.dumps(Run()), pickle.dumps({"a": Run()}), zipped({"a": Run()}), zipped([TENSORS["model.a"]]),
    zipped({"a": "text"}),
    zipped({1: TENSORS["model.a"]}), zipped({"a": TENSORS["model.a"].to_sparse()}),
    zipped({"a": TENSORS["model.a"].to(torch.complex64)}),
    zipped(TENSORS)[:-30], b"", b"\x80\x02.", b"PK\x03\x04", zipped({}), zipped({"a": np.zeros(2)}),
    zipped({"a": torch.zeros(2, device="meta")}), zipped({"": torch.zeros(2)}),
    zipped({"a\0": torch.zeros(2)}),
]  # fmt: skip


@pytest.mark.parametrize("content", PICKLES, ids=range(len(PICKLES)))
def test_a_pickle_is_refused_unless_asked_for_and_then_runs_nothing(
    content: bytes, triple_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(triple_folders["base"], folder)
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UserError, match="pickled weights only"):
        Checkpoint.open(folder)
    attempt(lambda: Checkpoint.open(folder, allow_pickle=True), folder)
    assert not (tmp_path / "hacked").exists()


def test_damaged_pickles_are_refused_or_read(
    try_cases: Try, triple_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(triple_folders["base"], folder)
    (folder / WEIGHTS).unlink()
    path = folder / "pytorch_model.bin"
    path.write_bytes(zipped({"a": TENSORS["model.a"], "b": TENSORS["model.a.b"]}))
    try_cases(
        contents(path.read_bytes()),
        damage_file(path, lambda: Checkpoint.open(folder, allow_pickle=True), folder, tmp_path / "cache"),
    )
    assert not (tmp_path / "hacked").exists()
