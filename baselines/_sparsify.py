"""Keep a random share of a task vector's entries."""

import torch
from torch import Tensor


def draw_mask(delta: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Mark each entry with probability `density`; drawn on the CPU: the same entries on every device."""
    return (torch.rand(delta.shape, generator=generator) < density).to(delta.device)


def dare(delta: Tensor, density: float, generator: torch.Generator, rescale: bool, restore: str) -> Tensor:
    """Keep each entry with probability `density`; `rescale` restores the mean, or with "l1" the L1 norm."""
    thinned = delta * draw_mask(delta, density, generator)
    if not rescale:
        return thinned
    if restore == "mean":
        return thinned / density
    before, after = delta.abs().sum(), thinned.abs().sum()
    # As in mergekit: next to nothing is left as it is.
    return thinned if min(before, after) < 1e-7 else thinned * (before / after)
