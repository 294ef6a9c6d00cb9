"""DARE-linear: V + strength * DARE(tau_R), random entries of tau_R dropped and the rest rescaled.

DARE, arXiv 2311.03099: every entry of a task vector is kept with probability `density` and divided by it
(`rescale`), so that the expected update is that of the linear merge; without `rescale` it is what the code of
Bring Reason to Vision and older PEFT really computed. Deviation: by default V is the anchor and only tau_R is
thinned, since dropping entries of tau_V undoes the VLM's alignment at random; `drop_vlm` thins tau_V too, as
published for merging: B + `vlm_weight` * DARE(tau_V) + strength * DARE(tau_R). `restore` "l1" rescales to the
L1 norm that each tensor had, as mergekit does, instead of dividing by `density` ("mean"). The seed decides
which entries are dropped: report several.
"""

from typing import Literal

import torch
from torch import Tensor

from baselines._sparsify import check_density, dare

ELEMENTWISE = {"restore": "mean"}


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
    vlm_weight: float = 1.0,
    restore: Literal["mean", "l1"] = "mean",
) -> Tensor:
    """One tensor, fp32. `density` in (0, 1]; 1 is plain injection at `strength`."""
    check_density(density, "dare_linear")

    thinning = (density, generator, rescale, restore)
    anchor = base + vlm_weight * dare(vlm - base, *thinning) if drop_vlm else vlm
    return anchor + strength * dare(lrm - base, *thinning)
