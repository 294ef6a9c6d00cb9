"""Control, trailing directions: the last singular directions of tau_R, as large as the leading ones.

V + `strength` * U_last diag(c s) V_last^T: the `rank` directions with the smallest singular values, given the
sizes s of the leading ones, and c such that the norm is that of all of tau_R: `truncated` with `match_norm`,
directions apart. At `rank` 1 it is the control of Selective Transfer of RL Updates for Visual Reasoning
(2026). Deviations: none of that; of a truncated spectrum the last kept ones are taken; biases and norms stay
V's.
"""

from baselines._spectral import compose
from frism.method import Array, Count, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0}


def merge(site: Site, *, rank: Count = 16, strength: float = 0.3) -> Array:
    """Merge one matrix, fp32."""
    spectrum = site.spectrum
    if spectrum is None:
        return site.vlm
    s = spectrum.s[:rank]
    scale = spectrum.total.sqrt() / s.norm().clamp(min=1e-30)
    u, vh = spectrum.u[:, -len(s) :].float(), spectrum.vh[-len(s) :].float()
    return site.vlm + strength * compose(u, scale * s, vh)
