"""Consensus task arithmetic: B + `strength` * the entries of tau_V + tau_R that enough models need.

TALL masks, arXiv 2405.07813: model t needs an entry where |tau_t| >= `threshold` * |tau_V + tau_R - tau_t|;
entries with `votes` such votes at least stay, selfish and catastrophic ones go. With two models and `votes` 2
this is the set on which both agree to within the factor `threshold`; 1 drops nothing unless `threshold`
exceeds 1. Defaults: 2 votes as published, 0.4 in the middle of its range 0.2 to 0.6. Deviation: `strength`,
tuned on validation there, is 1.
"""

from typing import Annotated

from pydantic import Field

from frism.method import Array, NonNegative, Site

GRANULARITY = "entry"
ELEMENTWISE = True


def merge(
    site: Site,
    *,
    threshold: NonNegative = 0.4,
    votes: Annotated[int, Field(ge=1, le=2)] = 2,
    strength: float = 1.0,
) -> Array:
    """Merge one tensor, fp32."""
    tau_v, tau_r = site.tau_v, site.tau_r
    of_vlm, of_lrm = tau_v.abs(), tau_r.abs()
    cast = (of_vlm >= threshold * of_lrm).to(tau_v.dtype) + (of_lrm >= threshold * of_vlm)
    return site.base + strength * (tau_v + tau_r) * (cast >= votes)
