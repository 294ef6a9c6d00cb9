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

from baselines._election import sum_elected
from baselines._trimming import Cut, cuts
from frism.method import Array, Pieces, Share, Site
from frism.method.mergekit import Config, Names, configure_election

GRANULARITY = "entry"
SWEPT = True
MERGEKIT_DIFFERENCE = (
    "ties: mergekit keeps int(density * n) entries, weighs before the election and divides by the"
    " weights; compare `trimming`, `election`, `zero_sum` and `divide_by` in recipe.json."
)
ELEMENTWISE = True  # once `measure` knows where to cut


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
    first, second = site.measured
    taus = first.keep(site.tau_v, site.start), second.keep(site.tau_r, site.start)
    total, divisor = sum_elected(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
    return site.base + strength * total / divisor


def measure(
    pieces: Pieces, *, density: Share = 0.2, trimming: Literal["threshold", "exact"] = "threshold"
) -> list[Cut]:
    """Find where tau_V and tau_R of one tensor are cut."""
    return cuts(
        lambda: ((p.tau_v.flatten(), p.tau_r.flatten()) for p in pieces()), density, trimming == "exact"
    )


def mergekit(names: Names, **params: Any) -> Config:
    """Write the merge as mergekit's ties."""
    return configure_election("ties", names, params)
