"""Parametrise gates: one logit per direction, per block, per matrix or per layer, and open fractions."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

TEMPERATURE, MASKED = 10.0, 0.1  # of a mask's sigmoid; its logits at first, of either sign (AdaRank's code)


@dataclass(frozen=True)
class Gates:
    """Map learned numbers (logits) to the open fraction of every direction of one matrix.

    Attributes:
        kind: "sigmoid", the paper's: fractions in (0, 1), logits from 0, which opens half; "free": the logit
            is the fraction itself, any real number, from 1/2; "mask": 1 for logits above 0, else 0, with the
            gradient of sigmoid(logit / 10) (straight-through), as in AdaRank (arXiv 2503.22178).
        block: so many neighbouring directions share a gate (the last block may be shorter).
        shared: one gate for the whole matrix, with what a truncated spectrum leaves over.
        by_layer: one gate for all matrices of a layer; they are shared then.
        kept: share of the directions, the leading ones, that a mask begins with.
    """

    kind: Literal["sigmoid", "free", "mask"] = "sigmoid"
    block: int = 1
    shared: bool = False
    by_layer: bool = False
    kept: float = 1.0

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"a block has {self.block} directions: give at least 1")
        if self.by_layer and not self.shared:
            raise ValueError("gates of a layer are shared by the directions of its matrices")

    def count(self, k: int) -> int:
        """Return the number of gates of a matrix with k directions."""
        return 1 if self.shared else -(-k // self.block)

    def initial_logits(
        self, k: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return logits, (count(k),), that open every direction by one half, or the mask's first ones."""
        if self.kind == "mask":
            place = torch.arange(self.count(k), dtype=dtype, device=device)
            return torch.where(place < self.kept * self.count(k), MASKED, -MASKED).to(dtype)
        value = 0.5 if self.kind == "free" else 0.0
        return torch.full((self.count(k),), value, dtype=dtype, device=device)

    def value(self, logits: Tensor) -> Tensor:
        """Return the open fraction of every gate, of the logits' shape; differentiable."""
        if self.kind == "mask":
            soft = torch.sigmoid(logits / TEMPERATURE)
            return (logits > 0).to(logits.dtype) + (soft - soft.detach())
        return logits if self.kind == "free" else torch.sigmoid(logits)

    def open_fractions(self, logits: Tensor, k: int) -> Tensor:
        """Return the open fraction of every direction, (k,), from logits (count(k),); differentiable."""
        values = self.value(logits)
        if self.shared:
            return values.expand(k)
        if self.block == 1:
            return values
        return values.unsqueeze(1).expand(-1, self.block).reshape(-1)[:k]


PAPER = Gates()
