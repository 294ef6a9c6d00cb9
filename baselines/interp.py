"""Interpolation (BR2V): vlm_weight * V + (1 - vlm_weight) * R.

Bring Reason to Vision, arXiv 2505.05464: with weights that sum to one the base cancels, so none is read. The
paper selects `vlm_weight` = 0.9. Deviation: the released code also interpolates biases and norms (scope
mat+bias+norm here) and subtracts in the checkpoint's dtype; here fp32.
"""

from frism.method import Array, Site
from frism.method.mergekit import Config, Names, configure_linear

GRANULARITY = "model"
ARITHMETIC = True
IDENTITY = {"vlm_weight": 1.0}
READS = {"vlm", "lrm"}
SWEPT = True


def merge(site: Site, *, vlm_weight: float = 0.9) -> Array:
    """Merge one tensor, fp32. `vlm_weight` 1 is V, 0 is R."""
    return vlm_weight * site.vlm + (1 - vlm_weight) * site.lrm


def mergekit(names: Names, *, vlm_weight: float) -> Config:
    """Write the merge as mergekit's linear."""
    return configure_linear(names, {"vlm": vlm_weight, "lrm": 1 - vlm_weight}, normalize=False)
