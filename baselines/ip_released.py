"""IP-Merging as released: tau_R projected onto V's subspace.

Hu et al., arXiv 2510.14387, as its code computes it, per matrix. tau_V and tau_R are cut to `rank`
directions by a randomised SVD. c_i is the cosine of their i-th right singular vectors; a matrix whose
largest c_i is below `threshold` stays V's. Otherwise w = softmax(`temperature` * c), Q = diag(w) V_V^T, and
`strength` * s * tau_R Q^T Q is added, with s = sum(S_V) / sum(S_R). Known weaknesses, kept: cosines are
signed and paired by index, so the result depends on the SVD's arbitrary signs and on the seed; w enters
squared, so Q^T Q is no projector, and the more directions agree, the less is injected. Deviations, without
which it does not run on Qwen: rank is at most d_out and d_in, biases stay V's. A tau_R of zero adds
nothing.
"""

import torch

from baselines._low_rank import low_rank_svd
from frism.method import Array, Count, Site

GRANULARITY = "direction"
NEEDS = {"seed"}
IDENTITY = {"strength": 0.0}
SVDS = 2
SWEPT = True


def merge(
    site: Site,
    *,
    threshold: float = 0.4,
    strength: float = 0.5,
    temperature: float = 32.0,
    rank: Count = 1024,
) -> Array:
    """Merge one tensor, fp32. The defaults are the released code's."""
    if site.vlm.ndim != 2:
        return site.vlm
    rank = min(rank, *site.vlm.shape)
    _, s_v, vh_v = low_rank_svd(site.tau_v, rank, site.rng)
    u_r, s_r, vh_r = low_rank_svd(site.tau_r, rank, site.rng)
    cosine = (vh_v * vh_r).sum(dim=1)
    if cosine.max() < threshold or s_r.sum() == 0:
        return site.vlm
    weight = torch.softmax(temperature * cosine, dim=0)
    projected = ((u_r * s_r) @ (vh_r @ (vh_v.mT * weight.square()))) @ vh_v
    return site.vlm + strength * (s_v.sum() / s_r.sum()) * projected
