"""Injection in one third of the layers: V + strength * tau_R in the early, middle or late `part`.

A knock-in at the level of layers, after the layer analysis of Bring Reason to Vision (arXiv 2505.05464),
which finds perception in early layers and reasoning in middle to late ones. Layer l of L belongs to third
floor(3 l / L). Deviation: that paper knocks out full weights one layer at a time; here the task vector enters
a third at `strength`.
"""

from typing import Literal

from frism.method import Array, Site

GRANULARITY = "layer"
ARITHMETIC = True
IDENTITY = {"strength": 0.0}

PARTS = ("early", "middle", "late")


def merge(site: Site, *, part: Literal["early", "middle", "late"] = "late", strength: float = 0.3) -> Array:
    """Merge one tensor, fp32. The final norm belongs to no third."""
    if site.layer is None or PARTS[3 * site.layer // site.layers] != part:
        return site.vlm
    return site.vlm + strength * site.tau_r
