"""Cache the examples of a fit: in memory, or in files that outlive a kill and are mapped into memory."""

import io
import logging
import pickle
from pathlib import Path

import torch

from frism.distillation.teacher import Example
from frism.files import atomic_write

log = logging.getLogger(__name__)

_DAMAGED = (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError)


class ExampleCache:
    """Hold numbered examples, their tensors on the CPU.

    Args:
        folder: of the files, which the system keeps in memory as far as there is room; None: memory alone.
        key: identifies what the examples depend on; files of another key count as absent.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self.folder, self.key = folder, key
        self._examples: dict[int, Example] = {}

    def put(self, number: int, example: Example) -> None:
        """Store an example. Raises UserError when the disk refuses it."""
        state = example.state()
        if self.folder is None:
            self._examples[number] = Example.from_state(state)
            return
        content = io.BytesIO()  # what a disk refuses to torch's own writer is no OSError
        torch.save({"key": self.key, "example": state}, content)
        with atomic_write(self.folder / f"{number}.pt") as temporary:
            temporary.write_bytes(content.getbuffer())
        self._examples.pop(number, None)

    def get(self, number: int) -> Example | None:
        """Return an example; None if there is none, its file is damaged or of another key."""
        if number in self._examples or self.folder is None:
            return self._examples.get(number)
        path = self.folder / f"{number}.pt"
        if not path.exists():
            return None
        try:
            content = torch.load(path, weights_only=True, mmap=True)
            if content["key"] != self.key:
                return None
            self._examples[number] = Example.from_state(content["example"])
        except _DAMAGED as error:
            log.warning("%s is damaged (%s): the teacher answers its questions again", path, error)
            return None
        return self._examples[number]
