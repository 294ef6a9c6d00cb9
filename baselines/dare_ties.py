"""DARE-TIES: B + `strength` * (the randomly thinned task vectors, combined by TIES' sign election).

DARE, arXiv 2311.03099, in place of the trimming of TIES-Merging, arXiv 2306.01708: every entry of tau_V and
tau_R is kept with probability `density` and divided by it (`rescale`; `restore` "l1" restores each tensor's
L1 norm instead, as mergekit does); the elected sign, `vlm_weight` and `lrm_weight`, and the options
`election`, `zero_sum` and `divide_by` are those of `ties`. Deviation: where the sum is zero, B stays.
mergekit: l1, weighted, positive, one. Bring Reason to Vision's code: no rescale, plain, positive, count.
"""

from typing import Any, Literal

from baselines._election import sum_elected
from baselines._sparsify import dare
from frism.method import Array, Share, Site
from frism.method.mergekit import Config, Names, configure_election

GRANULARITY = "entry"
NEEDS = {"seed"}
ELEMENTWISE = {"restore": "mean"}
MERGEKIT_DIFFERENCE = (
    "dare_ties: other random numbers; compare `restore`, `election`, `zero_sum` and `divide_by`"
    " in recipe.json."
)


def merge(
    site: Site,
    *,
    density: Share = 0.5,
    strength: float = 1.0,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
    rescale: bool = True,
    restore: Literal["mean", "l1"] = "mean",
    election: Literal["plain", "weighted"] = "plain",
    zero_sum: Literal["drop", "positive"] = "drop",
    divide_by: Literal["count", "weights", "one"] = "count",
) -> Array:
    """Merge one tensor, fp32. `density` 1 is `ties` without trimming."""
    thinning = (density, site.rng, rescale, restore)
    taus = dare(site.tau_v, *thinning), dare(site.tau_r, *thinning)
    total, divisor = sum_elected(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
    return site.base + strength * total / divisor


def mergekit(names: Names, **params: Any) -> Config:
    """Write the merge as mergekit's dare_ties."""
    return configure_election("dare_ties", names, params, "rescale")
