"""TSV-M: the leading singular directions of both task vectors, made orthogonal to each other.

Task Singular Vectors, arXiv 2412.00081, per matrix (d_out, d_in): tau_V and tau_R each keep the share 1/2 of
their singular directions, one over the number of models; the stacked left and the stacked right vectors are
replaced by the nearest orthonormal ones (orthogonal Procrustes), which takes interference away; B +
`strength` * U' S V'^T, 1 as published. `anchor` "vlm" is a deviation: V is whole, and only R's orthogonalised
part is added. Further deviations: biases and norms stay V's, not the mean; directions that the stacked ones
lack (V equal to R) are left out instead of filled up at random.
"""

from typing import Literal

import torch

from baselines._spectral import compose, decompose_both, leading, orthogonalise, stack
from frism.method import Array, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0, "anchor": "vlm"}


def merge(site: Site, *, strength: float = 1.0, anchor: Literal["base", "vlm"] = "base") -> Array:
    """Merge one matrix, fp32."""
    spectra = decompose_both(site)
    if spectra is None:
        return site.vlm
    share = max(1, min(site.vlm.shape) // 2)
    u, s, vh = stack([leading(spectrum, share) for spectrum in spectra])
    u, vh = orthogonalise(u), orthogonalise(vh.mT).mT
    if anchor == "base":
        return site.base + strength * compose(u, s, vh)
    of_lrm = torch.arange(len(s), device=s.device) >= min(share, len(spectra[0].s))
    return site.vlm + strength * compose(u, s * of_lrm, vh)
