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


def draw(like: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """A random mask of zeros and ones that keeps each entry with probability `density`.

    Drawn on the CPU: the same mask on every device.
    """
    return (torch.rand(like.shape, generator=generator) < density).float().to(like.device)


def thin(delta: Tensor, kept: Tensor, density: float, rescale: bool, restore: str) -> Tensor:
    """Zero what is not `kept`; `rescale` restores the expectation ("mean") or the L1 norm ("l1")."""
    if not rescale:
        return delta * kept
    if restore == "mean":
        return delta * kept / density
    thinned = delta * kept
    before, after = delta.abs().sum(), thinned.abs().sum()
    # As in mergekit: next to nothing is left as it is.
    return thinned if min(before, after) < 1e-7 else thinned * (before / after)
