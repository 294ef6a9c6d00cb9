"""Linear: a weighted mean of B, V and R.

Model soups, arXiv 2203.05482 (equal weights are its average): `base_weight` * B + `vlm_weight` * V +
`lrm_weight` * R, divided by the sum of the weights (`normalize`). With weights that sum to one this is
B + vlm_weight * tau_V + lrm_weight * tau_R, task arithmetic with a coefficient for each task vector.
Deviation: none; with `base_weight` 0 it is `interp`, which does not read B.
"""

from typing import TYPE_CHECKING

from frism.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(
    base: "Tensor",
    vlm: "Tensor",
    lrm: "Tensor",
    *,
    base_weight: float = 0.0,
    vlm_weight: float = 0.5,
    lrm_weight: float = 0.5,
    normalize: bool = True,
) -> "Tensor":
    """One tensor, fp32."""
    total = base_weight + vlm_weight + lrm_weight
    if normalize and abs(total) < 1e-8:
        raise UserError(
            f"method linear: the weights sum to {total}: choose others, or set 'normalize' to false."
        )
    combined = base_weight * base + vlm_weight * vlm + lrm_weight * lrm
    return combined / total if normalize and total != 1 else combined  # a pass less, the same bits
