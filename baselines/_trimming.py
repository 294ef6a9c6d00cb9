"""TIES' trimming: which entries of a task vector are its largest, by one selection over the whole tensor."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Cut:
    """The smallest magnitude that stays, and the place of the last entry of that magnitude that does."""

    smallest: float
    last: int | None = None  # None: all of them

    def keep(self, delta: Tensor, start: int = 0) -> Tensor:
        """Zero what falls below the cut; `start` is the place of the part's first entry."""
        if self.last is None or self.last >= start + delta.numel():
            below = torch.nextafter(torch.tensor(self.smallest), torch.tensor(-1.0))  # both are fp32
            return _above(delta, float(below))
        if self.last < start:
            return _above(delta, self.smallest)
        size = delta.abs()
        place = torch.arange(start, start + delta.numel(), device=delta.device).view_as(delta)
        return delta * ((size > self.smallest) | ((size == self.smallest) & (place <= self.last)))


def _above(delta: Tensor, limit: float) -> Tensor:
    """Zero all magnitudes up to `limit`; many times faster than to compare and multiply by the mask."""
    return functional.threshold(delta.abs(), limit, 0.0).copysign(delta)


def cut(tuned: Tensor, base: Tensor, density: float, exact: bool) -> Cut:
    """Where tuned - base is cut so that the share `density` of its entries stays, at least one.

    `exact` keeps int(density * size) entries, of equal ones the first; otherwise round(density * size) and
    all that equal the smallest of them.
    """
    sizes = (tuned - base).abs_().flatten().cpu().numpy()
    first = len(sizes) - max(1, int(density * len(sizes)) if exact else round(density * len(sizes)))
    sizes.partition(first)  # in place: the largest tensors leave no room for a copy
    smallest = sizes[first]
    if not exact:
        return Cut(float(smallest))
    stay = int((sizes[first:] == smallest).sum())
    if stay == int((sizes[:first] == smallest).sum()) + stay:
        return Cut(float(smallest))
    equal = ((tuned - base).abs_() == float(smallest)).flatten().nonzero()
    return Cut(float(smallest), int(equal[stay - 1]))
