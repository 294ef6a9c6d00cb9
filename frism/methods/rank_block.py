"""Rank block: one block of singular directions of tau_R, injected alone.

V + `strength` * (the part of tau_R in one block of ranks): the analysis behind Figure 3 of FRISM (arXiv
2601.21187), where subspaces are injected one group at a time at several strengths. How the paper groups
ranks is not known: `split` "count" makes blocks of equally many directions (sizes differ by one at most),
"energy" blocks of equal squared norm (a direction belongs where the middle of its share of the energy
falls, so a block may be empty where one direction outweighs it). The tail of a truncated spectrum counts as
the last direction and belongs to the last block. All blocks at one strength add up to plain injection;
biases and norms stay V's.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from frism.method import Count, Index, Site
from frism.methods._gated import merge_gated
from frism.spectra.spectrum import Spectrum

GRANULARITY = "direction"
NEEDS = {"spectrum"}


@dataclass(frozen=True)
class Part:
    """Select a part of the spectrum: `block`, from 0 (the leading ranks), of `blocks`, cut by `split`."""

    block: Index = 0
    blocks: Count = 6
    split: Literal["count", "energy"] = "count"

    def __post_init__(self) -> None:
        if self.block >= self.blocks:
            raise ValueError(f"there is no block {self.block} of {self.blocks}: they count from 0.")


def merge(site: Site, *, part: Part, strength: float = 0.1) -> Tensor:
    """Merge one matrix (d_out, d_in), fp32."""
    spectrum = site.spectrum
    if spectrum is None:
        return site.vlm
    inside = assign_blocks(spectrum, part.blocks, part.split) == part.block
    fitted = {"open": inside.to(spectrum.s.dtype)}
    if spectrum.tail is not None:
        fitted["open_tail"] = spectrum.s.new_tensor(float(part.block == part.blocks - 1))
    return merge_gated(site, spectrum, fitted, strength)


def assign_blocks(spectrum: Spectrum, blocks: int, split: str) -> Tensor:
    """Assign every direction to a block: int64 (k,), from 0 to `blocks` - 1 and never falling."""
    if split == "count":
        return torch.arange(len(spectrum.s), device=spectrum.s.device) * blocks // len(spectrum.s)
    energy = spectrum.s.double().square()  # fp32 sums of thousands of squares lose their small ends
    middle = energy.cumsum(0) - energy / 2
    total = spectrum.total.double().clamp(min=torch.finfo(torch.float64).tiny)
    return (blocks * middle / total).long().clamp(max=blocks - 1)
