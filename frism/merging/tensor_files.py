"""Lay out safetensors files, and copy and write byte ranges of them from many threads."""

import errno
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frism.checkpoints.dtypes import BITS
from frism.checkpoints.reading import Buffer, SourceFiles
from frism.files import explain_refusal

COPY = 16 << 20  # bytes at a time
# What a kernel or a pair of file systems answers that cannot copy for us.
_NO_OFFLOAD = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM}


def count_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Count the bytes of a tensor; `dtype` is safetensors' name."""
    return BITS[dtype] * math.prod(shape) // 8


@dataclass(frozen=True)
class Slot:
    """Locate one tensor in a file that is to be written; offsets count from the file's own start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class FileLayout:
    """Describe a safetensors file that is to be written: its head, and where each tensor goes."""

    head: bytes
    slots: tuple[Slot, ...]

    @property
    def size(self) -> int:
        """The bytes of the whole file."""
        return self.slots[-1].end if self.slots else len(self.head)

    @classmethod
    def arrange(
        cls, tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
    ) -> "FileLayout":
        """Lay out tensors (name, dtype, shape) in the given order, except that wide values come first.

        So every tensor starts at a multiple of its values' size, as readers that map the file expect; a file
        that safetensors wrote keeps its order.
        """
        ordered = sorted(tensors, key=lambda tensor: -BITS[tensor[1]])
        table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        ranges, offset = [], 0
        for name, dtype, shape in ordered:
            end = offset + count_bytes(dtype, shape)
            table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
            ranges.append((name, dtype, shape, offset, end))
            offset = end
        text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        head = len(text).to_bytes(8, "little") + text
        slots = (Slot(n, d, s, len(head) + start, len(head) + end) for n, d, s, start, end in ranges)
        return cls(head, tuple(slots))


class OutputFile:
    """Write a file of known size from many threads, by position; its mode follows the umask.

    Raises UserError when the disk is full or the folder cannot be written.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._offload = hasattr(os, "copy_file_range")
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o666)
        except OSError as error:
            raise explain_refusal(path, error) from error
        try:
            os.truncate(self._descriptor, size)
        except OSError as error:
            self.close()
            path.unlink()
            raise explain_refusal(path, error) from error

    def write(self, data: Buffer, start: int) -> None:
        """Write bytes at `start`."""
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], start + done)
        except OSError as error:
            raise explain_refusal(self.path, error) from error

    def copy(self, sources: SourceFiles, path: Path, first: int, size: int, start: int) -> None:
        """Copy `size` bytes of another file from `first` on to `start`, in the kernel where it can."""
        source = sources.descriptor(path)
        done = self._copy_in_kernel(source, first, size, start) if self._offload else 0
        buffer = memoryview(bytearray(min(COPY, size - done)))
        while done < size:
            part = buffer[: min(COPY, size - done)]
            sources.read(path, first + done, part)
            self.write(part, start + done)
            done += len(part)

    def _copy_in_kernel(self, source: int, first: int, size: int, start: int) -> int:
        """Let the kernel copy; return how many bytes it did before it declined."""
        done = 0
        while done < size:
            try:
                copied = os.copy_file_range(source, self._descriptor, size - done, first + done, start + done)
            except OSError as error:
                if error.errno not in _NO_OFFLOAD:
                    raise explain_refusal(self.path, error) from error
                self._offload = False
                return done
            if not copied:
                return done  # end of the source, or not supported here: plain reading tells which
            done += copied
        return done

    def sync(self) -> None:
        """Wait until the bytes are on the disk."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise explain_refusal(self.path, error) from error

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
