"""Localize-and-Stitch, dataless: V + `strength` * the `density` share of tau_R's largest entries.

Localize-and-Stitch, arXiv 2408.13656, in its dataless form: a task's skill lies in the largest entries of its
task vector (5 % there), per tensor here, and only they are stitched in. `anchor` "base" stitches both, as
published: B + `strength` * the localised entries of tau_V and tau_R, averaged where both have one.
Deviations: by default the receiver V is whole (`anchor` "vlm"); per tensor, not over the whole model.
"""

from typing import Literal

from baselines._trimming import Cut, cuts
from frism.method import Array, Pieces, Share, Site

GRANULARITY = "entry"
ELEMENTWISE = True  # once `measure` knows where to cut
IDENTITY = {"strength": 0.0, "anchor": "vlm"}


def merge(
    site: Site, *, density: Share = 0.05, strength: float = 1.0, anchor: Literal["vlm", "base"] = "vlm"
) -> Array:
    """Merge one tensor, fp32."""
    of_vlm: Cut
    of_lrm: Cut
    of_vlm, of_lrm = site.measured
    tau_r = of_lrm.keep(site.tau_r, site.start)
    if anchor == "vlm":
        return site.vlm + strength * tau_r
    tau_v = of_vlm.keep(site.tau_v, site.start)
    owners = (tau_v != 0).to(tau_v.dtype) + (tau_r != 0)
    return site.base + strength * (tau_v + tau_r) / owners.clamp(min=1)


def measure(pieces: Pieces, *, density: Share = 0.05) -> list[Cut]:
    """Find where tau_V and tau_R of one tensor are cut."""
    taus = lambda: ((p.tau_v.flatten(), p.tau_r.flatten()) for p in pieces())  # noqa: E731
    return cuts(taus, density, exact=False)
