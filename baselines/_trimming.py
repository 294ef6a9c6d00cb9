"""Find where to cut a task vector that is read in pieces, so that its largest entries stay, in two passes.

The bits of a positive fp32 number grow with the number. A first pass counts magnitudes by their upper 16
bits, a second one counts, within the one bin where the cut falls, by their lower 16: two histograms instead
of a sort, and no more memory for a large tensor than for a small one.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import torch
from torch import Tensor
from torch.nn import functional

Pieces = Callable[[], Iterator[Sequence[Tensor]]]  # flat pieces of several task vectors, any number of times
_HIGH, _LOW = 1 << 15, 1 << 16  # how many values the upper and the lower bits of a magnitude have


@dataclass(frozen=True)
class Cut:
    """The smallest magnitude that stays, and the place of the last entry of that magnitude that does."""

    smallest: float
    last: int | None = None  # None: all of them

    def keep(self, delta: Tensor, start: int = 0) -> Tensor:
        """Zero what falls below the cut; `start` is the place of the piece's first entry."""
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


def cut(delta: Tensor, density: float, exact: bool) -> Cut:
    """The cut of one task vector at hand."""
    return cuts(lambda: iter([(delta.flatten(),)]), density, exact)[0]


def cuts(pieces: Pieces, density: float, exact: bool) -> list[Cut]:
    """Where each task vector is cut so that the share `density` of its entries stays, at least one.

    `exact` keeps int(density * size) entries, of equal ones the first; otherwise round(density * size) and
    all that equal the smallest of them.
    """

    def count(size: int) -> int:
        return max(1, int(density * size) if exact else round(density * size))

    return cuts_at(pieces, lambda size: repeat(count(size)), exact)


def cuts_at(pieces: Pieces, count: Callable[[int], Iterable[int]], exact: bool) -> list[Cut]:
    """Where each task vector is cut so that so many of its entries stay: `count` says how many, by size."""
    high = _added(_histograms(piece) for piece in pieces())
    kept = [number for number, _ in zip(count(int(high[0].sum())), high, strict=False)]
    bins = [_find(counts, number) for counts, number in zip(high, kept, strict=True)]
    lower = _added(_within(piece, [upper for upper, _ in bins]) for piece in pieces())
    found, places = [], []
    for (upper, above), counts, number in zip(bins, lower, kept, strict=True):
        low, above_low = _find(counts, number - above)
        bits = torch.tensor([(upper << 16) | low], dtype=torch.int32)
        found.append(float(bits.view(torch.float32)) if number else math.inf)
        stay = number - above - above_low  # of those that equal the smallest
        places.append(stay if exact and 0 < stay < int(counts[low]) else None)
    lasts = _last_places(pieces, found, places) if any(p is not None for p in places) else [None] * len(found)
    return [Cut(smallest, last) for smallest, last in zip(found, lasts, strict=True)]


def _bits(delta: Tensor) -> Tensor:
    return delta.abs().view(torch.int32)


def _histograms(piece: Sequence[Tensor]) -> list[Tensor]:
    return [torch.bincount(_bits(delta) >> 16, minlength=_HIGH) for delta in piece]


def _within(piece: Sequence[Tensor], bins: Sequence[int]) -> list[Tensor]:
    counts = []
    for delta, upper in zip(piece, bins, strict=True):
        counts.append(torch.bincount(_selected(_bits(delta), upper) & (_LOW - 1), minlength=_LOW))
    return counts


def _selected(bits: Tensor, upper: int) -> Tensor:
    """The bits of the entries in one bin."""
    if bits.device.type != "cpu":
        return bits[bits >> 16 == upper]
    array = bits.numpy()  # which picks a few out of many several times faster
    return torch.from_numpy(array[(array >> 16) == upper])


def _added(histograms: Iterable[list[Tensor]]) -> list[Tensor]:
    total: list[Tensor] = []
    for counts in histograms:
        total = [old + new for old, new in zip(total, counts, strict=True)] if total else counts
    return total


def _find(counts: Tensor, rank: int) -> tuple[int, int]:
    """The bin of the `rank`-th entry from above, and how many lie above that bin."""
    above = counts.flip(0).cumsum(0)
    position = int(torch.searchsorted(above, rank))
    return len(counts) - 1 - position, int(above[position] - counts.flip(0)[position])


def _last_places(pieces: Pieces, smallest: Sequence[float], stay: Sequence[int | None]) -> list[int | None]:
    """The place of the last entry that stays among those that equal the smallest."""
    left, start = list(stay), 0
    lasts: list[int | None] = [None] * len(stay)
    for piece in pieces():
        for number, delta in enumerate(piece):
            wanted = left[number]
            if wanted is None or lasts[number] is not None:
                continue
            equal = (delta.abs() == smallest[number]).nonzero().flatten()
            if len(equal) >= wanted:
                lasts[number] = start + int(equal[wanted - 1])
            left[number] = wanted - len(equal)
        start += piece[0].numel()
    return lasts


@dataclass(frozen=True)
class Band:
    """Two cuts of one task vector: what stays lies between them."""

    outer: Cut
    inner: Cut

    def keep(self, delta: Tensor, start: int = 0) -> Tensor:
        """Zero what falls outside the band; `start` is the place of the piece's first entry."""
        return self.outer.keep(delta, start) - self.inner.keep(delta, start)


def bands(pieces: Pieces, density: float, gamma: float) -> list[Band]:
    """Where int(density * size) entries of each task vector stay below its int(gamma * size) largest ones.

    Fewer of the largest are dropped where not enough others are left.
    """

    def count(size: int) -> Iterator[int]:
        kept = max(1, int(density * size))
        largest = min(int(gamma * size), size - kept)
        return chain.from_iterable(repeat((kept + largest, largest)))

    found = cuts_at(lambda: ([d for delta in p for d in (delta, delta)] for p in pieces()), count, exact=True)
    return [Band(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
