"""Read byte ranges of checkpoint files: descriptors opened once, shared between threads."""

import os
import threading
from pathlib import Path

from frism.checkpoints.dtypes import BITS
from frism.checkpoints.headers import Header
from frism.errors import UserError

Buffer = memoryview  # a writable block of bytes: what os.preadv fills and os.pwrite takes


class SourceFiles:
    """Keep descriptors of the files that are read, opened once and shared between threads."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "SourceFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def descriptor(self, path: Path) -> int:
        """Return the file's descriptor. Raises UserError when it cannot be opened."""
        with self._lock:
            if path not in self._open:
                try:
                    self._open[path] = os.open(path, os.O_RDONLY)
                except OSError as error:
                    raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
            return self._open[path]

    def read(self, path: Path, start: int, block: Buffer) -> None:
        """Fill a block with the bytes from `start` on. Raises UserError when the file ends too early."""
        descriptor, done = self.descriptor(path), 0
        while done < len(block):
            try:
                count = os.preadv(descriptor, [block[done:]], start + done)
            except OSError as error:
                raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
            if not count:
                raise UserError(f"{path} became shorter while it was read: copy or download it again.")
            done += count


def byte_range(header: Header, first: int, last: int) -> tuple[int, int]:
    """Return byte offset and size of values [first, last) of a stored tensor."""
    width = BITS[header.dtype] // 8
    return header.start + first * width, (last - first) * width
