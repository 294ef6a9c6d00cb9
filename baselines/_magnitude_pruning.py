"""Prune entries at random, small ones more often: the first step of DELLA (arXiv 2406.11617)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from frism.method import NonNegative, Share


@dataclass(frozen=True)
class Pruning:
    """Say how entries are pruned.

    density, epsilon: an entry is kept with a probability from density - epsilon (the smallest of its row) to
        density + epsilon (the largest), evenly by rank.
    rescale, restore: "mean" divides what is kept by its probability, "l1" restores the tensor's L1 norm.
    """

    density: Share = 0.5
    epsilon: NonNegative = 0.15
    rescale: bool = True
    restore: Literal["mean", "l1"] = "mean"

    def __post_init__(self) -> None:
        if self.density - self.epsilon <= 0 or self.density + self.epsilon > 1:
            raise ValueError(
                f"density {self.density:g} +/- epsilon {self.epsilon:g} leaves the range from 0 to 1: lower"
                " epsilon."
            )

    def probabilities(self, delta: Tensor) -> Tensor:
        """Return each entry's probability of being kept, of the tensor's shape."""
        rows = delta.abs().reshape(-1, delta.shape[-1]) if delta.ndim > 1 else delta.abs().reshape(1, -1)
        width = rows.shape[1]
        if width < 2:
            return torch.full_like(delta, self.density)
        rank = rows.argsort(dim=1, stable=True).argsort(dim=1).to(delta.dtype) / (width - 1)
        return (self.density - self.epsilon + 2 * self.epsilon * rank).reshape(delta.shape)

    def prune(self, delta: Tensor, generator: torch.Generator) -> Tensor:
        """Prune a task vector; numbers are drawn on the CPU: the same entries on every device."""
        keep = self.probabilities(delta)
        kept = delta * draw_mask(keep, generator)
        if not self.rescale:
            return kept
        if self.restore == "mean":
            return kept / keep
        before, after = delta.abs().sum(), kept.abs().sum()
        # As in mergekit: next to nothing is left as it is.
        return kept if min(before, after) < 1e-7 else kept * (before / after)


def draw_mask(keep: Tensor, generator: torch.Generator) -> Tensor:
    """Mark each entry with its probability."""
    return torch.rand(keep.shape, generator=generator).to(keep.device) < keep
