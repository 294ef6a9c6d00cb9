"""Save and load the state of a fit (gates, optimiser, curve, position): one file, written whole."""

import io
import logging
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from frism.files import atomic_write

log = logging.getLogger(__name__)

TIME_SHARE = 0.05
"""Share of the running time that writing states may take."""

State = dict[str, Any]  # nested plain containers and tensors: what `torch.save` takes


class Checkpointer:
    """Save a state as often as is cheap, and load the newest.

    Resuming repeats the steps since the newest state, to the same bits on a CPU, so how often one is saved
    changes nothing but the time that a kill costs.

    Args:
        path: of the file; None saves nothing.
        key: identifies all that a state depends on; a state of another key counts as absent.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self._due = 0.0

    def load(self) -> State | None:
        """Return the newest state; None if there is none, it is damaged or of another key."""
        if self.path is None or not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            state: State = content["state"]
            return state if content["key"] == self.key else None
        except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
            log.warning("%s is damaged (%s): learning starts again", self.path, error)
            return None

    def save_if_due(self, state: Callable[[], State]) -> bool:
        """Save what `state()` returns if it is time; return whether it was. Raises UserError if it cannot."""
        start = time.monotonic()
        if self.path is None or start < self._due:
            return False
        content = io.BytesIO()  # what a disk refuses to torch's own writer is no OSError
        torch.save({"key": self.key, "state": state()}, content)
        with atomic_write(self.path) as temporary:
            temporary.write_bytes(content.getbuffer())
        end = time.monotonic()
        self._due = end + (end - start) * (1 / TIME_SHARE - 1)
        return True
