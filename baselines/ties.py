"""TIES: B + strength * (mean of the trimmed task vectors' entries that agree with the elected sign).

TIES-Merging, arXiv 2306.01708. Per tensor: tau_V and tau_R keep their `density` largest entries by magnitude;
the sign of each entry is that of the sum of what is left; entries of the other sign drop out; the rest are
averaged over their number, after `vlm_weight` and `lrm_weight`. Deviations: trimmed per tensor, not globally;
an entry whose sum is zero contributes nothing. Options for what others do: `trimming` "exact" keeps
int(density * size) entries, the first of equals; `election` "weighted" weighs first; `zero_sum` "positive"
elects + there; `divide_by` the agreeing "weights", or "one" (a sum). mergekit: exact, weighted, positive,
weights. Bring Reason to Vision's code: exact, plain, positive, count (its point: 1.6, 0.2, density 0.2).
"""

from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from baselines._election import consensus
from baselines._sparsify import check_density
from baselines._trimming import Cut, cuts

ELEMENTWISE = True  # once `measure` knows where to cut


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    density: float = 0.2,
    strength: float = 1.0,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
    trimming: Literal["threshold", "exact"] = "threshold",
    election: Literal["plain", "weighted"] = "plain",
    zero_sum: Literal["drop", "positive"] = "drop",
    divide_by: Literal["count", "weights", "one"] = "count",
    measured: list[Cut] | None = None,
    start: int = 0,
) -> Tensor:
    """One tensor, fp32. `density` in (0, 1]: the fraction kept of each task vector."""
    whole = {"base": base.flatten(), "vlm": vlm.flatten(), "lrm": lrm.flatten()}
    first, second = measured or measure(lambda: iter([whole]), density=density, trimming=trimming)
    taus = first.keep(vlm - base, start), second.keep(lrm - base, start)
    total, divisor = consensus(taus, (vlm_weight, lrm_weight), election, zero_sum, divide_by)
    return base + strength * total / divisor


def measure(
    pieces: Callable[[], Iterator[dict[str, Tensor]]],
    *,
    density: float = 0.2,
    trimming: Literal["threshold", "exact"] = "threshold",
) -> list[Cut]:
    """Where tau_V and tau_R of one tensor are cut."""
    check_density(density, "ties")
    return cuts(
        lambda: ((p["vlm"] - p["base"], p["lrm"] - p["base"]) for p in pieces()), density, trimming == "exact"
    )
