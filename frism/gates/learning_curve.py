"""Record a learning curve, one value per quantity and step, as tensors and as a CSV; stop early."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from frism.files import atomic_write


@dataclass
class LearningCurve:
    """Record values by quantity, one per step, all quantities of equal length."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), []))

    def append(self, row: Mapping[str, float]) -> None:
        """Add one step; every step has the same quantities."""
        if self.values and self.values.keys() != row.keys():
            raise ValueError(f"a curve of {', '.join(self.values)} cannot take {', '.join(row)}")
        for name, value in row.items():
            self.values.setdefault(name, []).append(value)

    def last(self, name: str) -> float:
        """Return the newest value of a quantity."""
        return self.values[name][-1]

    def tensors(self) -> dict[str, Tensor]:
        """Return every quantity, fp32 (steps,)."""
        return {name: torch.tensor(values) for name, values in self.values.items()}

    def write(self, path: Path) -> None:
        """Write a CSV with a row per step, whole or not at all."""
        text = io.StringIO()
        text.write(",".join(["step", *self.values]) + "\n")
        for step, row in enumerate(zip(*self.values.values(), strict=True)):
            text.write(",".join([str(step), *(f"{value:.6g}" for value in row)]) + "\n")
        with atomic_write(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


@dataclass
class EarlyStopping:
    """Stop when the loss has not improved by `tolerance` in `patience` checks (0: never)."""

    patience: int
    tolerance: float = 0.0
    best: float = float("inf")
    bad: int = 0  # checks without improvement

    def check(self, loss: float) -> bool:
        """Take in the loss at one check; return whether to stop."""
        if loss < self.best - self.tolerance:
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        return 0 < self.patience <= self.bad


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value."""
    return sum(values) / len(values)
