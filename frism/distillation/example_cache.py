"""Examples kept for the whole of a fit: in memory, or in files that outlive a kill and are mapped into it."""

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
    """Numbered examples, their tensors on the CPU.

    Args:
        folder: of the files, which the system keeps in memory as far as there is room; None: memory alone.
        key: identifies what the examples depend on; files of another key count as absent.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self.folder, self.key = folder, key
        self._held: dict[int, Example] = {}

    def put(self, place: int, example: Example) -> None:
        """Keep an example. Raises UserError when the disk refuses it."""
        state = example.state()
        if self.folder is None:
            self._held[place] = Example.of_state(state)
            return
        packed = io.BytesIO()  # what a disk refuses to torch's own writer is no OSError
        torch.save({"key": self.key, "example": state}, packed)
        with atomic_write(self.folder / f"{place}.pt") as temporary:
            temporary.write_bytes(packed.getbuffer())
        self._held.pop(place, None)

    def get(self, place: int) -> Example | None:
        """The example; None if there is none, its file is damaged or of another key."""
        if place in self._held or self.folder is None:
            return self._held.get(place)
        path = self.folder / f"{place}.pt"
        if not path.exists():
            return None
        try:
            found = torch.load(path, weights_only=True, mmap=True)
            if found["key"] != self.key:
                return None
            self._held[place] = Example.of_state(found["example"])
        except _DAMAGED as error:
            log.warning("%s is damaged (%s): the teacher is asked again", path, error)
            return None
        return self._held[place]
