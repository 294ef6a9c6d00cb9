"""Task arithmetic (injection): V + strength * tau_R, with tau_R = R - B.

Editing models with task arithmetic, arXiv 2212.04089, with the VLM in place of the base: tau_V stays whole.
This is what FRISM (arXiv 2601.21187) and IP-Merging (arXiv 2510.14387) compare with. The default 0.3 of
`strength` is the one that merging libraries use. Deviation: embeddings and lm_head always come from V.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(base: "Tensor", vlm: "Tensor", lrm: "Tensor", *, strength: float = 0.3) -> "Tensor":
    """One tensor, fp32. `strength` 0 is V exactly."""
    return vlm + strength * (lrm - base) if strength else vlm  # also a -0.0 of V's stays
