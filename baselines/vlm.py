"""VLM: V, unmodified.

The receiver itself: the reference that every merge is compared with.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC = True


def merge(vlm: "Tensor") -> "Tensor":
    """Return V."""
    return vlm
