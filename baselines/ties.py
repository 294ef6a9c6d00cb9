"""TIES: B + `strength` * (mean of the trimmed task vectors' entries that agree with the elected sign).

TIES-Merging, arXiv 2306.01708. Per tensor: tau_V and tau_R keep their `density` largest entries by magnitude;
the sign of each entry is that of the sum of what is left; entries of the other sign drop out; the rest are
averaged over their number, after `vlm_weight` and `lrm_weight`. Deviations: trimmed per tensor, not globally;
an entry whose sum is zero contributes nothing. Options for what others do: `trimming` "exact" keeps
int(density * size) entries, the first of equals; `election` "weighted" weighs first; `zero_sum` "positive"
elects + there; `divide_by` the agreeing "weights", or "one" (a sum). mergekit: exact, weighted, positive,
weights. Bring Reason to Vision's code: exact, plain, positive, count (its point: 1.6, 0.2, density 0.2).
"""

from typing import Any, Literal

import torch

from baselines._election import sum_elected
from baselines._trimming import mark_largest
from frism.method import Array, Share, Site
from frism.method.mergekit import Config, Names, configure_election

SWEPT = True
MERGEKIT_DIFFERENCE = (
    "ties: mergekit keeps int(density * n) entries, weighs before the election and divides by the"
    " weights; compare `trimming`, `election`, `zero_sum` and `divide_by` in recipe.json."
)
PART = 1 << 19  # entries at a time: what is computed on the way stays in the caches


def merge(
    site: Site,
    *,
    density: Share = 0.2,
    strength: float = 1.0,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
    trimming: Literal["threshold", "exact"] = "threshold",
    election: Literal["plain", "weighted"] = "plain",
    zero_sum: Literal["drop", "positive"] = "drop",
    divide_by: Literal["count", "weights", "one"] = "count",
) -> Array:
    """Merge one tensor, fp32. `density`: the fraction kept of each task vector."""
    base, vlm, lrm = site.base, site.vlm, site.lrm
    merged = torch.empty_like(base)
    keeps = [mark_largest((tuned - base).abs_(), density, trimming == "exact") for tuned in (vlm, lrm)]
    for b, v, r, keep_v, keep_r, out in zip(
        *(tensor.flatten().split(PART) for tensor in (base, vlm, lrm, *keeps)),
        merged.view(-1).split(PART),
        strict=True,
    ):
        taus = (v - b) * keep_v, (r - b) * keep_r
        total, divisor = sum_elected(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
        torch.add(b, strength * total / divisor, out=out)
    return merged


def mergekit(names: Names, **params: Any) -> Config:
    """Write the merge as mergekit's ties."""
    return configure_election("ties", names, params)
