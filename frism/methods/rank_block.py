"""Rank block: one block of singular directions of tau_R, injected alone.

V + strength * (the part of tau_R in one block of ranks): the analysis behind Figure 3 of FRISM (arXiv
2601.21187), where subspaces are injected one group at a time at several strengths. How the paper groups
ranks is not known: `split` "count" makes blocks of equally many directions (sizes differ by one at most),
"energy" blocks of equal squared norm (a direction belongs where the middle of its share of the energy
falls, so a block may be empty where one direction outweighs it). The tail of a truncated spectrum counts as
the last direction and belongs to the last block. All blocks at one strength add up to plain injection;
biases and norms stay V's.
"""

from typing import Literal

import torch
from torch import Tensor

from frism.errors import UserError
from frism.spectra.gains import merge_gated
from frism.spectra.spectrum import Spectrum


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    block: int = 0,
    blocks: int = 6,
    split: Literal["count", "energy"] = "count",
    strength: float = 0.1,
    spectrum: Spectrum | None,
) -> Tensor:
    """One matrix (d_out, d_in), fp32. `block` from 0 (the leading ranks) to `blocks` - 1.

    Raises UserError for a block that is not there.
    """
    if not 0 <= block < blocks:
        raise UserError(f"method rank_block: there is no block {block} of {blocks}: they count from 0.")
    if spectrum is None:
        return vlm
    place = places(spectrum, blocks, split)
    fitted = {"open": (place == block).to(spectrum.s.dtype)}
    if spectrum.tail is not None:
        fitted["open_tail"] = spectrum.s.new_tensor(float(block == blocks - 1))
    return merge_gated(vlm, base, lrm, spectrum, fitted, strength)


def places(spectrum: Spectrum, blocks: int, split: str) -> Tensor:
    """The block of every direction, int64 (k,), from 0 to `blocks` - 1 and never falling."""
    if split == "count":
        return torch.arange(len(spectrum.s), device=spectrum.s.device) * blocks // len(spectrum.s)
    energy = spectrum.s.double().square()  # fp32 sums of thousands of squares lose their small ends
    middle = energy.cumsum(0) - energy / 2
    total = spectrum.total.double().clamp(min=torch.finfo(torch.float64).tiny)
    return (blocks * middle / total).long().clamp(max=blocks - 1)
