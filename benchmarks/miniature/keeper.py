"""Keep a training run's state on the disk, so that one that was cut off goes on with the same bits.

A run has stages, one after the other. What is kept: the model's weights after every finished stage, and
within one weights, optimizers, random numbers and the loss curve every so many steps. All of it lies in a
folder that belongs to one recipe (`key`); what another recipe left there is thrown away.
"""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frism.files import atomic_write

KEY = "key.txt"


@dataclass(frozen=True)
class Keeper:
    """Keeps the state of one run.

    Attributes:
        folder: of the run's state. curve: the CSV of losses, which is put back with the state.
        every: steps between two states within a stage.
    """

    folder: Path
    curve: Path
    every: int = 100

    @classmethod
    def open(cls, folder: Path, curve: Path, key: str, every: int = 100) -> "Keeper":
        """Open a run's folder; what a run of another key left is removed."""
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / KEY
        if not note.is_file() or note.read_text(encoding="utf-8") != key:
            for stale in folder.iterdir():
                stale.unlink()
            with atomic_write(note) as path:
                path.write_text(key, encoding="utf-8")
        return cls(folder, curve, every)

    def take_up(self, stage: str, model: nn.Module) -> dict[str, Any] | None:
        """Load the model as a stage left it, and return the rest of its state; None for a stage not begun.

        The key "finished" says whether the stage is over; a file that was cut short counts as none.
        """
        path = self._locate(stage)
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        model.load_state_dict(state.pop("model"))
        if state["curve"]:
            self.curve.write_text(state["curve"], encoding="utf-8")
        return state

    def keep(self, stage: str, model: nn.Module, **state: Any) -> None:
        """Write a stage's state; tensors, numbers, texts, lists, tuples and mappings of them."""
        text = self.curve.read_text(encoding="utf-8") if self.curve.is_file() else ""
        with atomic_write(self._locate(stage)) as path:
            torch.save({**state, "model": model.state_dict(), "curve": text}, path)

    def _locate(self, stage: str) -> Path:
        return self.folder / f"{re.sub(r'[^a-z0-9]+', '_', stage.lower())}.pt"
