"""Which entries of a task vector stay: the largest by magnitude, or a random share of them."""

import torch
from torch import Tensor

from baselines._trimming import cut


def trim(delta: Tensor, density: float) -> Tensor:
    """Zero all but the `density` largest entries by magnitude (at least one; ties are kept)."""
    return cut(delta, density, exact=False).keep(delta)


def trim_exact(delta: Tensor, density: float) -> Tensor:
    """Zero all but the int(density * size) largest entries (at least one), the first ones among equals.

    mergekit 0.1.5 and the code of Bring Reason to Vision keep as many; they choose among equals as an
    unstable sort does.
    """
    return cut(delta, density, exact=True).keep(delta)


def draw(delta: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """True for each entry with probability `density`; drawn on the CPU: the same entries on every device."""
    return (torch.rand(delta.shape, generator=generator) < density).to(delta.device)


def dare(delta: Tensor, density: float, generator: torch.Generator, rescale: bool, restore: str) -> Tensor:
    """Keep each entry with probability `density`; `rescale` restores the mean, or with "l1" the L1 norm."""
    thinned = delta * draw(delta, density, generator)
    if not rescale:
        return thinned
    if restore == "mean":
        return thinned / density
    before, after = delta.abs().sum(), thinned.abs().sum()
    # As in mergekit: next to nothing is left as it is.
    return thinned if min(before, after) < 1e-7 else thinned * (before / after)
