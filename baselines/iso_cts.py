"""Iso-CTS: Iso-C on the common directions of the sum and some of each model's own.

Isotropic merging in common and task-specific subspaces, arXiv 2502.04959, per matrix: of SVD(tau_V + tau_R)
the share `common` of the directions stays (0.8 as published, the rest made divisible by two); the others are
replaced by the leading directions of what each task vector has outside the common output space; left and
right vectors are made orthonormal (orthogonal Procrustes), all singular values set to their mean; B +
`strength` * the result. Deviations: biases and norms stay V's, not the mean; directions that are no
directions (of a task vector of low rank) are left out instead of filled up at random; needs a spectrum that
is not truncated.
"""

import torch
from torch import Tensor

from baselines._spectral import Factors, compose, leading, orthogonalise, stack
from frism.method import Array, Fraction, Site
from frism.spectra.spectrum import decompose

GRANULARITY = "direction"
NEEDS = {"spectrum"}
SVDS = 2  # of both task vectors outside the common space


def merge(site: Site, *, common: Fraction = 0.8, strength: float = 1.0) -> Array:
    """Merge one matrix, fp32."""
    both = site.spectrum_sum
    if both is None:
        return site.vlm
    size = len(both.s)
    own = round((size - int(size * common)) / 2)
    shared = leading(both, size - 2 * own)
    parts = [
        leading(decompose(tau - shared[0] @ (shared[0].mT @ tau)), own) for tau in (site.tau_v, site.tau_r)
    ]
    null = (both.s[0] + site.tau_r.norm()) * max(site.vlm.shape) * torch.finfo(both.s.dtype).eps
    u, s, vh = stack([_select(part, part[1] > null) for part in (*parts, shared)])
    flat = torch.full_like(s, float(sum(part[1].sum() for part in (*parts, shared))) / size)
    return site.base + strength * compose(orthogonalise(u), flat, orthogonalise(vh.mT).mT)


def _select(part: Factors, real: Tensor) -> Factors:
    """Leave out what is numerically no direction."""
    u, s, vh = part
    return u[:, real], s[real], vh[real]
