"""DC-Merge: both task vectors in one shared space of directions, where the largest entries are combined.

DC-Merge, arXiv 2603.06242, as its code computes it, per matrix: each task vector keeps the share 1/2 of its
singular directions; `smoothing` may even out their singular values ("average", or "linear" falling from
`slope` to 1, their sum kept); in the space of all kept directions, made orthonormal, the task vectors are
small matrices M_t; of each the `density` share of the largest entries stays; they are combined by TIES' sign
election and mean, restricted to the two models' own blocks, and put back: B + `strength` * the result.
Defaults are those of its full fine-tunings: no smoothing, one entry in a thousand. Deviations: biases and
norms stay V's, not the mean.
"""

from typing import Literal

import torch
from torch import Tensor

from baselines._election import sum_elected
from baselines._spectral import decompose_both, leading, orthogonalise, stack
from baselines._trimming import cut
from frism.method import Array, Positive, Share, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}


def merge(
    site: Site,
    *,
    density: Share = 1e-3,
    smoothing: Literal["none", "average", "linear"] = "none",
    slope: Positive = 5.0,
    strength: float = 1.0,
) -> Array:
    """Merge one matrix, fp32."""
    spectra = decompose_both(site)
    if spectra is None:
        return site.vlm
    share = max(1, min(site.vlm.shape) // 2)
    parts = [leading(spectrum, share) for spectrum in spectra]
    u, _, vh = stack(parts)
    left, right = orthogonalise(u), orthogonalise(vh.mT)
    small = [(left.mT @ p[0] * _smooth(p[1], smoothing, slope)) @ (p[2] @ right) for p in parts]
    largest = [_keep(matrix, density) for matrix in small]
    total, divisor = sum_elected((largest[0], largest[1]), (1.0, 1.0), "plain", "drop", "count")
    owner = torch.arange(len(total), device=total.device) < len(parts[0][1])
    own_blocks = owner[:, None] == owner[None, :]
    return site.base + strength * left @ (total / divisor * own_blocks) @ right.mT


def _keep(matrix: Tensor, density: float) -> Tensor:
    return cut(matrix.contiguous(), int(density * matrix.numel()) / matrix.numel(), exact=False).keep(matrix)


def _smooth(s: Tensor, smoothing: str, slope: float) -> Tensor:
    if smoothing == "none":
        return s
    ratio = 1.0 if smoothing == "average" else min(slope, float(s[0] / s[-1].clamp(min=1e-30)))
    shape = torch.linspace(ratio, 1.0, len(s), dtype=s.dtype, device=s.device)
    return s.sum() * shape / shape.sum()
