"""VLM: V, unmodified.

The receiver itself: the reference that every merge is compared with.
"""

from torch import Tensor


def merge(vlm: Tensor) -> Tensor:
    """Return V."""
    return vlm
