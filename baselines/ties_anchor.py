"""TIES, V-anchored: V + `strength` * the entries of tau_R that are large and agree with the elected sign.

After TIES-Merging, arXiv 2306.01708, whose trimming takes most of tau_V, and with it what the VLM learned.
Deviation: V stays whole. Only tau_R is trimmed, per tensor, to its `density` largest entries; the sign of
each entry is elected on tau_V + trimmed tau_R, and entries of tau_R against it drop out; the rest is added,
not averaged. A variation of this project.
"""

from baselines._trimming import Cut, cuts
from frism.method import Array, Pieces, Share, Site

GRANULARITY = "entry"
IDENTITY = {"strength": 0.0}
SWEPT = True
ELEMENTWISE = True  # once `measure` knows where to cut


def merge(site: Site, *, density: Share = 0.2, strength: float = 0.5) -> Array:
    """Merge one tensor, fp32. `strength` 0 is V."""
    largest: Cut = site.measured
    tau_r = largest.keep(site.tau_r, site.start)
    agrees = ((site.tau_v + tau_r).sign() * tau_r.sign()).clamp(min=0)
    return site.vlm + strength * tau_r * agrees


def measure(pieces: Pieces, *, density: Share = 0.2) -> Cut:
    """Find where tau_R of one tensor is cut."""
    return cuts(lambda: ((piece.tau_r.flatten(),) for piece in pieces()), density, exact=False)[0]
