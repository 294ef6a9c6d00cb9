"""The table of contents of a safetensors file: every tensor's dtype, shape and place, read without torch.

Format: 8 bytes little-endian length n, n bytes of JSON, then the tensors' bytes. Checked as strictly as the
safetensors library does (1 MiB is a usual n, 100 MB the limit): names once, sizes that follow from dtype and
shape, no holes, no overlaps, nothing missing at the end.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frism.checkpoints.dtypes import BITS
from frism.errors import UserError

_LIMIT = 100_000_000


@dataclass(frozen=True)
class Header:
    """Where one tensor lies and what it is, known without reading its values."""

    file: Path
    dtype: str  # as safetensors spells it: "F32", "BF16", ...
    shape: tuple[int, ...]
    start: int  # first byte in the file, counted from the file's own start
    end: int  # one past the last byte

    @property
    def bytes(self) -> int:
        """Size of the values as stored."""
        return self.end - self.start

    @property
    def values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_headers(path: Path) -> dict[str, Header]:
    """Return every tensor of a safetensors file in the order of its bytes.

    Raises UserError, naming the file, when it is missing, truncated, a pointer of git-lfs, or no safetensors.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first = stream.read(8)
            length = int.from_bytes(first, "little")
            if len(first) < 8 or not 2 <= length <= min(_LIMIT, size - 8):
                raise _no_safetensors(path, first + stream.read(56), size, length)
            content = stream.read(length)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    try:
        table = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
        headers = [_header(path, name, entry, 8 + length) for name, entry in _entries(table)]
    except (
        ValueError,
        TypeError,
        KeyError,
    ) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise _damaged(path, f"its header is damaged: {error}") from error
    ordered = sorted(headers, key=lambda pair: (pair[1].start, pair[1].end))
    position = 8 + length
    for name, header in ordered:
        if header.start != position:
            raise _damaged(path, f"tensor {name} starts at byte {header.start}, not {position}")
        position = header.end
    if position != size:
        raise _damaged(path, f"its header describes {position:,} bytes, the file has {size:,}")
    return dict(ordered)


def _entries(table: object) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(table, dict):
        raise ValueError("it is no JSON object")
    metadata = table.get("__metadata__") or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no strings")
    return [(name, entry) for name, entry in table.items() if name != "__metadata__"]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)} twice")
    return found


def _header(path: Path, name: str, entry: Mapping[str, Any], origin: int) -> tuple[str, Header]:
    dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if dtype not in BITS:
        raise ValueError(f"tensor {name} has the unknown dtype {dtype}")
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError(f"tensor {name} has an impossible shape or offset")
    bits = math.prod(shape) * BITS[dtype]
    if bits != 8 * (end - start):
        raise ValueError(
            f"tensor {name} of {dtype} {list(shape)} needs {bits / 8:g} bytes, not {end - start}"
        )
    return name, Header(path, dtype, shape, origin + start, origin + end)


def _no_safetensors(path: Path, start: bytes, size: int, length: int) -> UserError:
    if start.startswith(b"version ") and b"git-lfs" in start:
        return UserError(f"{path} is a git-lfs pointer, not weights: run `git lfs pull` in its repository.")
    return _damaged(path, f"{size:,} bytes cannot hold a header of {length:,}")


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is truncated or not a safetensors file ({reason}): copy or download it again.")
