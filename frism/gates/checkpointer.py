"""What a fit keeps between kills: gates, optimiser, curve and position in one file, written whole."""

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

COST = 0.05
"""Share of the running time that writing states may take."""


class Checkpointer:
    """Writes a state as often as is cheap, and finds the newest again.

    Resuming repeats the steps since the newest state, to the same bits on a CPU, so how often one is written
    changes nothing but the time that a kill costs.

    Args:
        path: of the file; None keeps nothing.
        key: identifies all that a state depends on; a state of another key counts as absent.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self._next = 0.0

    def newest(self) -> dict[str, Any] | None:
        """The newest state; None if there is none, it is damaged or of another key."""
        if self.path is None or not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            state: dict[str, Any] = found["state"]
            return state if found["key"] == self.key else None
        except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
            log.warning("%s is damaged (%s): learning begins anew", self.path, error)
            return None

    def keep(self, state: Callable[[], dict[str, Any]]) -> bool:
        """Write what `state()` returns if it is time; whether it was. Raises UserError on a full disk."""
        start = time.monotonic()
        if self.path is None or start < self._next:
            return False
        packed = io.BytesIO()  # what a disk refuses to torch's own writer is no OSError
        torch.save({"key": self.key, "state": state()}, packed)
        with atomic_write(self.path) as temporary:
            temporary.write_bytes(packed.getbuffer())
        end = time.monotonic()
        self._next = end + (end - start) * (1 / COST - 1)
        return True
