"""Task arithmetic (symmetric): B + strength * (tau_V + tau_R).

Editing models with task arithmetic, arXiv 2212.04089, as published: one coefficient for both task vectors, so
a `strength` below one also shrinks what the VLM learned. 0.3 is the original's value for eight tasks and the
usual library default. Deviation: embeddings and lm_head always come from V.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(base: "Tensor", vlm: "Tensor", lrm: "Tensor", *, strength: float = 0.3) -> "Tensor":
    """One tensor, fp32. `strength` 0 is B, 1 is V + tau_R."""
    return base + strength * ((vlm - base) + (lrm - base))
