"""Headers read here against the safetensors library: same tensors, same places, same files refused."""

import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.dtypes import BITS
from frism.checkpoints.headers import read_headers
from frism.errors import UserError

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int8,
          torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]  # fmt: skip
TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
    max_size=5,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers") / "file.safetensors"


@settings(max_examples=60, deadline=None)
@given(described=TENSORS, metadata=st.booleans())
def test_any_file_that_safetensors_writes(path: Path, described: dict, metadata: bool) -> None:
    tensors = {
        name: torch.randint(0, 2, shape, dtype=torch.int8).to(dtype)
        for name, (dtype, shape) in described.items()
    }
    path.write_bytes(save(tensors, {"format": "pt"} if metadata else None))
    headers = read_headers(path)
    assert set(headers) == set(tensors)
    content = path.read_bytes()
    for name, header in headers.items():
        tensor = tensors[name]
        assert header.shape == tuple(tensor.shape)
        assert header.values == tensor.numel()
        stored = torch.frombuffer(
            bytearray(content[header.start : header.end]) or bytearray(1), dtype=torch.uint8
        )
        expected = tensor.reshape(-1).view(torch.uint8)
        assert torch.equal(stored[: expected.numel()], expected)
    starts = [header.start for header in headers.values()]
    assert starts == sorted(starts)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_safetensors_refuses_is_refused(path: Path, data: st.DataObject) -> None:
    """One byte of a good file changed, or its end cut off: both readers agree whether it can be read."""
    whole = save(
        {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.bfloat16)}, {"format": "pt"}
    )
    content = bytearray(whole)
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(whole)))]
    else:
        header_end = 8 + int.from_bytes(whole[:8], "little")
        content[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        expected = {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, KeyError):
        expected = None
    try:
        found = {name: header.shape for name, header in read_headers(path).items()}
    except UserError as error:
        assert str(path) in str(error)
        found = None
    assert found == expected


def table(**entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (table(a=GOOD) + bytes(8) + b"!", "file not fully covered"),
        (table(a=GOOD) + bytes(4), "file not fully covered"),
        (table(a=GOOD | {"data_offsets": [4, 12]}) + bytes(12), "invalid offset for tensor `a`"),
        (table(a=GOOD, b=GOOD | {"data_offsets": [4, 12]}) + bytes(12), "invalid offset for tensor `b`"),
        (table(a=GOOD | {"shape": [3]}) + bytes(8), "invalid shape, data type, or offset"),
        (table(a=GOOD | {"dtype": "F31"}) + bytes(8), "unknown variant `F31`"),
        (table(a=GOOD | {"shape": [-2]}) + bytes(8), "invalid value: integer `-2`"),
        (table(a={"dtype": "F32"}) + bytes(8), "missing field `shape`"),
        (len(b"[1]").to_bytes(8, "little") + b"[1]", "invalid type: sequence"),
        (table(a=GOOD, __metadata__={"step": 1}) + bytes(8), "invalid type: integer `1`"),
        ((1 << 40).to_bytes(8, "little") + bytes(100), "header too large"),
        (b"", "header too small"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"bad.safetensors is truncated or not .*{reason}") as caught:
        read_headers(path)
    assert "\n" not in str(caught.value)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    entry = json.dumps(GOOD)
    text = f'{{"a": {entry}, "a": {entry}}}'.encode()
    (tmp_path / "twice.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(UserError, match="names a twice"):
        read_headers(tmp_path / "twice.safetensors")


def test_bits_are_known_of_every_dtype_that_safetensors_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(table(a=GOOD | {"dtype": "none"}) + bytes(8))
    with pytest.raises(UserError) as caught:
        read_headers(path)
    assert set(re.findall("`([A-Z][A-Z0-9_]+)`", str(caught.value))) == set(BITS)
    for dtype, bits in BITS.items():
        path.write_bytes(table(a={"dtype": dtype, "shape": [8], "data_offsets": [0, bits]}) + bytes(bits))
        assert read_headers(path)["a"].bytes == bits


def test_stored_order_is_shard_by_shard_and_byte_by_byte(tmp_path: Path) -> None:
    names = {"model-00001-of-00002.safetensors": ["z", "y"], "model-00002-of-00002.safetensors": ["b", "a"]}
    weight_map = {}
    for file, tensors in names.items():
        save_file({name: torch.zeros(2) for name in tensors}, tmp_path / file)
        weight_map |= dict.fromkeys(tensors, file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "config.json").write_text("{}")
    checkpoint = Checkpoint(tmp_path)
    assert [path.name for path in checkpoint.shards()] == list(names)
    places = [(header.file, header.start) for header in checkpoint.tensors.values()]
    assert places == sorted(places)
