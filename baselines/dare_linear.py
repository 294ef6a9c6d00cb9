"""DARE-linear: V + strength * DARE(tau_R), random entries of tau_R dropped and the rest rescaled.

DARE, arXiv 2311.03099: every entry of a task vector is kept with probability `density` and divided by it
(`rescale`), so that the expected update is that of the linear merge; without `rescale` it is what the code of
Bring Reason to Vision and older PEFT really computed. Deviation: by default V is the anchor and only tau_R is
thinned, since dropping entries of tau_V undoes the VLM's alignment at random; `drop_vlm` thins tau_V too, as
published for merging: B + DARE(tau_V) + strength * DARE(tau_R). The seed decides which entries are dropped:
report several.
"""

import torch
from torch import Tensor

from frism.errors import UserError


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    generator: torch.Generator,
    density: float = 0.5,
    strength: float = 0.3,
    rescale: bool = True,
    drop_vlm: bool = False,
) -> Tensor:
    """One tensor, fp32. `density` in (0, 1]; 1 is plain injection at `strength`."""
    if not 0 < density <= 1:
        raise UserError(f"method dare_linear: parameter 'density' must lie in (0, 1], not {density}.")

    def thin(delta: Tensor) -> Tensor:
        # Drawn on the CPU: the same mask on every device.
        kept = torch.rand(delta.shape, generator=generator).to(delta.device) < density
        return delta * kept / density if rescale else delta * kept

    anchor = base + thin(vlm - base) if drop_vlm else vlm
    return anchor + strength * thin(lrm - base)
