"""VLM: V, unmodified.

The receiver itself: the reference that every merge is compared with.
"""

from frism.method import Array, Site
from frism.method.mergekit import Config, Names

GRANULARITY = "model"
ARITHMETIC = True
READS = {"vlm"}
IDENTITY: dict[str, float] = {}


def merge(site: Site) -> Array:
    """Return V."""
    return site.vlm


def mergekit(names: Names) -> Config:
    """Write the merge as mergekit's passthrough."""
    return {"merge_method": "passthrough", "models": [{"model": names["vlm"]}]}
