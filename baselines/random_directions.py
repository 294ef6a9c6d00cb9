"""Control, random directions: as many as `truncated` keeps, of the same sizes, drawn from the seed.

V + `strength` * U diag(c s) V^T with U, V random orthonormal, s the `rank` leading singular values of tau_R
and c such that the norm is that of all of tau_R: `truncated` with `match_norm`, directions apart. At `rank` 1
it is the control of Selective Transfer of RL Updates for Visual Reasoning (2026). Deviation: none of that;
biases and norms stay V's. Report several seeds.
"""

import torch

from baselines._spectral import compose, leading
from frism.method import Array, Count, Site

GRANULARITY = "direction"
NEEDS = {"spectrum", "seed"}
IDENTITY = {"strength": 0.0}


def merge(site: Site, *, rank: Count = 16, strength: float = 0.3) -> Array:
    """Merge one matrix, fp32."""
    spectrum = site.spectrum
    if spectrum is None:
        return site.vlm
    _, s, _ = leading(spectrum, rank)
    u, v = (
        torch.linalg.qr(torch.randn(size, len(s), generator=site.rng)).Q.to(s.device)
        for size in site.vlm.shape
    )
    scale = spectrum.total.sqrt() / s.norm().clamp(min=1e-30)
    return site.vlm + strength * compose(u, scale * s, v.mT)
