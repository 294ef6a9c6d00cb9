"""Interpolation (BR2V): vlm_weight * V + (1 - vlm_weight) * R.

Bring Reason to Vision, arXiv 2505.05464: with weights that sum to one the base cancels, so none is read. The
paper selects `vlm_weight` = 0.9. Deviation: the released code also interpolates biases and norms (scope
mat+bias+norm here) and subtracts in the checkpoint's dtype; here fp32.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(vlm: "Tensor", lrm: "Tensor", *, vlm_weight: float = 0.9) -> "Tensor":
    """One tensor, fp32. `vlm_weight` 1 is V, 0 is R."""
    return vlm_weight * vlm + (1 - vlm_weight) * lrm
