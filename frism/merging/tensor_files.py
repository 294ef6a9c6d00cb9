"""Tensors in files by position: many threads read, copy and write byte ranges of safetensors files."""

import errno
import json
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


@dataclass(frozen=True)
class Slot:
    """One tensor's place in a file that is to be written; offsets count from the file's own start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class FileLayout:
    """A safetensors file before its first byte is written."""

    head: bytes
    slots: tuple[Slot, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.slots[-1].end if self.slots else len(self.head)

    @classmethod
    def of(
        cls, tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
    ) -> "FileLayout":
        """Lay out (name, dtype, shape) in the given order, except that wide values come first.

        So every tensor starts at a multiple of its values' size, as readers that map the file expect; a file
        that safetensors wrote keeps its order.
        """
        ordered = sorted(tensors, key=lambda tensor: -BITS[tensor[1]])
        table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        places, offset = [], 0
        for name, dtype, shape in ordered:
            count = BITS[dtype]
            for length in shape:
                count *= length
            end = offset + count // 8
            table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
            places.append((name, dtype, shape, offset, end))
            offset = end
        text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        head = len(text).to_bytes(8, "little") + text
        slots = (Slot(n, d, s, len(head) + start, len(head) + end) for n, d, s, start, end in places)
        return cls(head, tuple(slots))


class OutputFile:
    """A file of known size that many threads write by position; its mode follows the umask.

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

    def write(self, block: Buffer, start: int) -> None:
        """Write a block of bytes at `start`."""
        done = 0
        try:
            while done < len(block):
                done += os.pwrite(self._descriptor, block[done:], start + done)
        except OSError as error:
            raise explain_refusal(self.path, error) from error

    def copy(self, sources: SourceFiles, path: Path, first: int, size: int, start: int) -> None:
        """Copy `size` bytes of another file from `first` on to `start`, in the kernel where it can."""
        source = sources.descriptor(path)
        done = self._offloaded(source, first, size, start) if self._offload else 0
        block = memoryview(bytearray(min(COPY, size - done)))
        while done < size:
            part = block[: min(COPY, size - done)]
            sources.read(path, first + done, part)
            self.write(part, start + done)
            done += len(part)

    def _offloaded(self, source: int, first: int, size: int, start: int) -> int:
        """Let the kernel copy; return how many bytes it did before it declined."""
        done = 0
        while done < size:
            try:
                got = os.copy_file_range(source, self._descriptor, size - done, first + done, start + done)
            except OSError as error:
                if error.errno not in _NO_OFFLOAD:
                    raise explain_refusal(self.path, error) from error
                self._offload = False
                return done
            if not got:
                return done  # the source ended, or a file system that answers so: plain reading tells
            done += got
        return done

    def sync(self) -> None:
        """Have the bytes on the disk."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise explain_refusal(self.path, error) from error

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
