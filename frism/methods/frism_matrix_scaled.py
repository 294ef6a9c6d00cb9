"""FRISM control, one gate per matrix, own strength: no choice of directions, dev chooses how much.

V + `strength` * c_l * tau_R,l with the c_l of `frism_matrix`: at `strength` 1 it is that control. What is
compared at FRISM's norm alone may stand on the wrong side of a cliff; here dev chooses the strength as it
does FRISM's. The same for one gate in all is plain injection. A control of this project.
"""

from torch import Tensor

from frism.method import NonNegative, Site
from frism.methods.frism_matrix import FAMILY, NEEDS, fit

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]

GRANULARITY = "matrix"
ELEMENTWISE = True
IDENTITY = {"strength": 0.0}


def merge(site: Site, *, strength: NonNegative = 1.0) -> Tensor:
    """Merge one matrix. `site.fitted["factor"]`: the matrix's factor c_l, a scalar."""
    if strength == 0:
        return site.vlm  # also a -0.0 of V's stays
    return site.vlm + strength * site.fitted["factor"] * site.tau_r
