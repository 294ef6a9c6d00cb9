"""TIES: B + strength * (mean of the trimmed task vectors' entries that agree with the elected sign).

TIES-Merging, arXiv 2306.01708. Per tensor: tau_V and tau_R keep their `density` largest entries by magnitude;
the sign of each entry is that of the sum of what is left; entries of the other sign drop out; the rest are
averaged over their number. `vlm_weight` and `lrm_weight` multiply the entries after the election and do not
enter the number divided by, as in the code of Bring Reason to Vision (its point: 1.6, 0.2, density 0.2).
Deviations: trimmed per tensor, not globally (as mergekit and PEFT do); an entry whose sum is exactly zero
contributes nothing.
"""

from torch import Tensor

from frism.errors import UserError


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    density: float = 0.2,
    strength: float = 1.0,
    vlm_weight: float = 1.0,
    lrm_weight: float = 1.0,
) -> Tensor:
    """One tensor, fp32. `density` in (0, 1]: the fraction kept of each task vector."""
    if not 0 < density <= 1:
        raise UserError(f"method ties: parameter 'density' must lie in (0, 1], not {density}.")
    tau_vlm, tau_lrm = trim(vlm - base, density), trim(lrm - base, density)
    elected = (tau_vlm + tau_lrm).sign()
    in_vlm, in_lrm = (tau_vlm * elected > 0).float(), (tau_lrm * elected > 0).float()
    total = vlm_weight * tau_vlm * in_vlm + lrm_weight * tau_lrm * in_lrm
    return base + strength * total / (in_vlm + in_lrm).clamp(min=1)


def trim(delta: Tensor, density: float) -> Tensor:
    """Zero all but the `density` largest entries by magnitude (at least one; ties are kept)."""
    size = delta.abs()
    dropped = min(size.numel() - round(density * size.numel()), size.numel() - 1)
    return delta * (size >= size.flatten().kthvalue(dropped + 1).values)
