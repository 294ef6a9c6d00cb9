"""The table of contents of a safetensors file: every tensor's dtype, shape and place, read without torch.

The safetensors library validates the file (sizes, holes, overlaps, the end). It does not tell where the bytes
of a tensor lie, so that is read from the header: 8 bytes little-endian length n, then n bytes of JSON.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from frism.errors import UserError


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
        with path.open("rb") as stream:
            start = stream.read(64)
            with safe_open(path, "numpy"):  # validates the whole header and maps the file, reading no tensor
                stream.seek(8)
                origin = 8 + int.from_bytes(start[:8], "little")
                table = json.loads(stream.read(origin - 8), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except (SafetensorError, ValueError) as error:
        if start.startswith(b"version ") and b"git-lfs" in start:
            message = f"{path} is a git-lfs pointer, not weights: run `git lfs pull` in its repository."
            raise UserError(message) from error
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise UserError(
            f"{path} is truncated or not a safetensors file ({reason}): copy or download it again."
        ) from error
    table.pop("__metadata__", None)
    headers = {name: _header(path, entry, origin) for name, entry in table.items()}
    return dict(sorted(headers.items(), key=lambda pair: (pair[1].start, pair[1].end)))


def _header(path: Path, entry: dict[str, Any], origin: int) -> Header:
    first, last = entry["data_offsets"]
    return Header(path, entry["dtype"], tuple(entry["shape"]), origin + first, origin + last)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name given twice, of which safetensors would take the last."""
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"its header names {next(name for name in names if names.count(name) > 1)} twice")
    return table
