"""Files laid out before they are written: safetensors reads them, and copies are exact by position."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from frism.checkpoints.dtypes import BITS
from frism.checkpoints.headers import read_headers
from frism.checkpoints.reading import SourceFiles, byte_range
from frism.errors import UserError
from frism.merging.sharding import parse_dtype, parse_size
from frism.merging.tensor_files import FileLayout, OutputFile

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I8": np.int8, "I64": np.int64}
tensors = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(sorted(TYPES)), st.lists(st.integers(0, 4), max_size=3).map(tuple)),
    max_size=6,
)


@given(tensors)
def test_safetensors_reads_what_was_laid_out(
    tmp_path_factory: pytest.TempPathFactory, described: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    path = tmp_path_factory.mktemp("layout") / "model.safetensors"
    layout = FileLayout.arrange(
        ((name, dtype, shape) for name, (dtype, shape) in described.items()), {"format": "pt"}
    )
    assert len(layout.head) % 8 == 0
    values = {}
    output = OutputFile(path, layout.size)
    output.write(memoryview(layout.head), 0)
    for slot in reversed(layout.slots):
        values[slot.name] = (
            np.arange(np.prod(slot.shape, dtype=int)).reshape(slot.shape).astype(TYPES[slot.dtype])
        )
        assert (slot.start - len(layout.head)) % (BITS[slot.dtype] // 8) == 0
        output.write(memoryview(values[slot.name].tobytes()), slot.start)
    output.close()
    found = load_file(path)
    assert set(found) == set(described) == set(read_headers(path))
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert np.array_equal(found[name], value)


def test_a_file_of_safetensors_is_laid_out_as_it_is(tmp_path: Path) -> None:
    save_file(
        {"b": np.ones((3, 2), np.float32), "a": np.ones(5, np.float16), "c": np.ones(2, np.float64)},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    headers = read_headers(tmp_path / "model.safetensors")
    layout = FileLayout.arrange(((name, h.dtype, h.shape) for name, h in headers.items()), {"format": "pt"})
    assert [(slot.name, slot.start, slot.end) for slot in layout.slots] == [
        (name, header.start, header.end) for name, header in headers.items()
    ]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (16 << 20) + 3])
def test_ranges_are_copied_in_the_kernel_or_by_hand(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(size).integers(0, 256, size + 20, np.uint8).tobytes()
    (tmp_path / "source").write_bytes(content)
    for offload in (True, False):
        output = OutputFile(tmp_path / "out", size + 5)
        monkeypatch.setattr(output, "_offload", offload)
        with SourceFiles() as sources:
            output.copy(sources, tmp_path / "source", 7, size, 5)
        output.close()
        assert (tmp_path / "out").read_bytes() == b"\0" * 5 + content[7 : 7 + size]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    block = memoryview(bytearray(4))
    with SourceFiles() as sources:
        sources.read(tmp_path / "short", 1, block)
        assert bytes(block) == b"2345"
        with pytest.raises(UserError, match=r"short became shorter while it was read"):
            sources.read(tmp_path / "short", 2, block)
        with pytest.raises(UserError, match=r"cannot read .*absent: No such file"):
            sources.read(tmp_path / "absent", 0, block)
    with pytest.raises(UserError, match="cannot write"):
        OutputFile(tmp_path / "short" / "out", 3)


def test_place_counts_in_values(tmp_path: Path) -> None:
    save_file({"a": np.arange(10, dtype=np.float16)}, tmp_path / "model.safetensors")
    header = read_headers(tmp_path / "model.safetensors")["a"]
    start, size = byte_range(header, 3, 7)
    content = (tmp_path / "model.safetensors").read_bytes()[start : start + size]
    assert np.frombuffer(content, np.float16).tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("500 MiB", 500 << 20), ("1.5kb", 1500), ("7", 7)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5 apples", "-1GB", "0GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a size"):
        parse_size(text)


def test_dtypes_have_two_names() -> None:
    assert parse_dtype("bfloat16") == parse_dtype("BF16") == parse_dtype("bf16") == "BF16"
    with pytest.raises(UserError, match="--dtype int8 is unknown"):
        parse_dtype("int8")
