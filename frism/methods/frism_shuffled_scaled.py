"""FRISM control, gates shuffled, own strength: other directions, and dev chooses how strongly.

V + `strength` * (what `frism_shuffled` adds): the learned gates, permuted within each matrix, at `strength` 1
exactly that control. A control of this project.
"""

from torch import Tensor

from frism.method import NonNegative, Site
from frism.methods._gated import merge_gated
from frism.methods.frism_shuffled import FAMILY, NEEDS, fit

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]

GRANULARITY = "direction"
IDENTITY = {"strength": 0.0}


def merge(site: Site, *, strength: NonNegative = 1.0) -> Tensor:
    """Merge one matrix. `site.fitted["open"]`: FRISM's strength * the permuted open fractions, shape (k,)."""
    return merge_gated(site, site.spectrum, site.fitted, strength) if strength else site.vlm
