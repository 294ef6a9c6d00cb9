"""DELLA: entries of a task vector dropped at random, small ones more often; then TIES' sign election.

DELLA-Merging, arXiv 2406.11617: magnitude-dependent pruning, where an entry's probability of staying grows
with its rank in its row, in place of the trimming of `ties`. `anchor` "base" is the paper's: B + `strength` *
the pruned task vectors, combined by sign election; the weights `vlm_weight` and `lrm_weight` and the options
`election`, `zero_sum` and `divide_by` are those of `ties`. Deviation: by default `anchor` "vlm" leaves V
whole: V + `strength` * pruned tau_R. mergekit: base, l1, positive, weights. The seed decides which entries
go: report several.
"""

from typing import Any, Literal

from baselines._election import sum_elected
from baselines._magnitude_pruning import Pruning
from frism.method import Array, Site
from frism.method.mergekit import Config, Names, configure_election

GRANULARITY = "entry"
NEEDS = {"seed"}
IDENTITY = {"strength": 0.0, "anchor": "vlm"}
MERGEKIT_DIFFERENCE = (
    "della: other random numbers; compare `restore`, `zero_sum`, `divide_by` in recipe.json."
)


def merge(
    site: Site,
    *,
    pruning: Pruning,
    anchor: Literal["base", "vlm"] = "vlm",
    strength: float = 0.5,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
    election: Literal["plain", "weighted"] = "plain",
    zero_sum: Literal["drop", "positive"] = "drop",
    divide_by: Literal["count", "weights", "one"] = "count",
) -> Array:
    """Merge one tensor, fp32."""
    if anchor == "vlm":
        return site.vlm + strength * pruning.prune(site.tau_r, site.rng)
    taus = pruning.prune(site.tau_v, site.rng), pruning.prune(site.tau_r, site.rng)
    total, divisor = sum_elected(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
    return site.base + strength * total / divisor


def mergekit(names: Names, **params: Any) -> Config:
    """Write the merge as mergekit's della."""
    return configure_election("della", names, params, "epsilon", "rescale")
