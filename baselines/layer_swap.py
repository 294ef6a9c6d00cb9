"""Layer swap (BR2V): the first layers stay V, the others are interpolated with R.

The `layerswap` mode of the code of Bring Reason to Vision (arXiv 2505.05464): layers with index <=
`last_kept` keep V (inclusive, so 5 keeps six layers); all others, and the final norm when it is in scope,
become vlm_weight * V + (1 - vlm_weight) * R. Defaults `last_kept` 5 and `vlm_weight` 0.9 as in its script.
Deviation: the released code includes biases and norms (scope mat+bias+norm here).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(
    vlm: "Tensor", lrm: "Tensor", *, layer: int | None, last_kept: int = 5, vlm_weight: float = 0.9
) -> "Tensor":
    """One tensor, fp32. `last_kept` -1 is plain interpolation."""
    if layer is not None and layer <= last_kept:
        return vlm
    return vlm_weight * vlm + (1 - vlm_weight) * lrm
