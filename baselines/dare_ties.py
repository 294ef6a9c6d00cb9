"""DARE-TIES: B + strength * (the randomly thinned task vectors, combined by TIES' sign election).

DARE, arXiv 2311.03099, in place of the trimming of TIES-Merging, arXiv 2306.01708: every entry of tau_V and
tau_R is kept with probability `density` and divided by it (`rescale`; `restore` "l1" restores each tensor's
L1 norm instead, as mergekit does); the elected sign, `vlm_weight` and `lrm_weight`, and the options
`election`, `zero_sum` and `divide_by` are those of `ties`. Deviation: where the sum is zero, B stays.
mergekit: l1, weighted, positive, one. Bring Reason to Vision's code: no rescale, plain, positive, count.
"""

from typing import Literal

import torch
from torch import Tensor

from baselines._election import consensus
from baselines._sparsify import check_density, dare

ELEMENTWISE = {"restore": "mean"}


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    generator: torch.Generator,
    density: float = 0.5,
    strength: float = 1.0,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
    rescale: bool = True,
    restore: Literal["mean", "l1"] = "mean",
    election: Literal["plain", "weighted"] = "plain",
    zero_sum: Literal["drop", "positive"] = "drop",
    divide_by: Literal["count", "weights", "one"] = "count",
) -> Tensor:
    """One tensor, fp32. `density` in (0, 1]; 1 is `ties` without trimming."""
    check_density(density, "dare_ties")

    thinning = (density, generator, rescale, restore)
    taus = dare(vlm - base, *thinning), dare(lrm - base, *thinning)
    total, divisor = consensus(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
    return base + strength * total / divisor
