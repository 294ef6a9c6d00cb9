"""Layer swap (BR2V): the first layers stay V, the others are interpolated with R.

The `layerswap` mode of the code of Bring Reason to Vision (arXiv 2505.05464): layers with index <=
`last_kept` keep V (inclusive, so 5 keeps six layers); all others, and the final norm when it is in scope,
become vlm_weight * V + (1 - vlm_weight) * R. Defaults `last_kept` 5 and `vlm_weight` 0.9 as in its script.
Deviation: the released code includes biases and norms (scope mat+bias+norm here).
"""

from typing import Annotated

from pydantic import Field

from frism.method import Array, Site

GRANULARITY = "layer"
ARITHMETIC = True
IDENTITY = {"vlm_weight": 1.0}
READS = {"vlm", "lrm"}


def merge(site: Site, *, last_kept: Annotated[int, Field(ge=-1)] = 5, vlm_weight: float = 0.9) -> Array:
    """Merge one tensor, fp32. `last_kept` -1 is plain interpolation."""
    if site.layer is not None and site.layer <= last_kept:
        return site.vlm
    return vlm_weight * site.vlm + (1 - vlm_weight) * site.lrm
