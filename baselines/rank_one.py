"""Rank-one injection: the leading singular direction of tau_R, rescaled to tau_R's whole norm.

Selective Transfer of RL Updates for Visual Reasoning (2026), per matrix: V + `shrink` * (B - V) + `strength`
* ||tau_R||_F u_1 v_1^T. B is to be the checkpoint that R was trained from (`base` of the variant), not an
earlier one. 0.05 for both as published (its interpolation-like form); `shrink` 0 is its direct injection.
Deviation: none known; biases and norms stay V's, as there.
"""

from baselines._spectral import leading
from frism.method import Array, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0, "shrink": 0.0}


def merge(site: Site, *, strength: float = 0.05, shrink: float = 0.05) -> Array:
    """Merge one matrix, fp32."""
    if site.spectrum is None:
        return site.vlm
    u, _, vh = leading(site.spectrum, 1)
    return site.vlm - shrink * site.tau_v + strength * site.spectrum.total.sqrt() * (u @ vh)
