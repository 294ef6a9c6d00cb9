"""Breadcrumbs: V + `strength` * tau_R without its smallest and its very largest entries.

Model Breadcrumbs, arXiv 2312.06795: per tensor the `gamma` share of the largest entries by magnitude and the
smallest ones are dropped, so that the share `density` is left. Deviation: by default V is the anchor and only
tau_R is masked; `mask_vlm` masks tau_V too, as published for merging: B + `vlm_weight` * masked tau_V +
`strength` * masked tau_R. Counts are mergekit's: int(density * size) entries stay, int(gamma * size) largest
ones go, fewer where `density` leaves no room. Where the latter is zero, mergekit's mask comes out empty.
"""

from baselines._trimming import Band, bands
from frism.method import Array, Fraction, Pieces, Share, Site
from frism.method.mergekit import Config, Names, configure_task_vectors

GRANULARITY = "entry"
ELEMENTWISE = True  # once `measure` knows where to cut
IDENTITY = {"strength": 0.0, "mask_vlm": False}


def merge(
    site: Site,
    *,
    density: Share = 0.5,
    gamma: Fraction = 0.01,
    strength: float = 0.5,
    mask_vlm: bool = False,
    vlm_weight: float = 1.0,
) -> Array:
    """Merge one tensor, fp32."""
    of_vlm: Band
    of_lrm: Band
    of_vlm, of_lrm = site.measured
    anchor = site.base + vlm_weight * of_vlm.keep(site.tau_v, site.start) if mask_vlm else site.vlm
    return anchor + strength * of_lrm.keep(site.tau_r, site.start)


def measure(pieces: Pieces, *, density: Share = 0.5, gamma: Fraction = 0.01) -> list[Band]:
    """Find the entries of tau_V and tau_R that stay."""
    return bands(lambda: ((p.tau_v.flatten(), p.tau_r.flatten()) for p in pieces()), density, gamma)


def mergekit(
    names: Names, *, density: float, gamma: float, strength: float, mask_vlm: bool, vlm_weight: float
) -> Config:
    """Write the merge as mergekit's breadcrumbs."""
    vlm = {"weight": vlm_weight, "density": density} if mask_vlm else {"weight": 1.0, "density": 1.0}
    lrm = {"weight": strength, "density": density}
    return configure_task_vectors("breadcrumbs", names, vlm, lrm, gamma=gamma)
