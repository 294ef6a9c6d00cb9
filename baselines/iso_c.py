"""Iso-C: the sum of both task vectors with all its singular values set to their mean.

Isotropic merging, arXiv 2502.04959, per matrix: B + `strength` * mean(S) U V^T with U S V^T = SVD(tau_V +
tau_R). `of` "lrm" is a deviation: V + `strength` * mean(S) U V^T of tau_R alone. Flattening raises the tail
of a full-rank update as far as it lowers the head. Further deviations: biases and norms stay V's, not the
mean; of a truncated spectrum only the kept directions count. What is numerically no direction of the matrix
(below the rounding of its largest singular value) is not raised.
"""

from typing import Literal

import torch

from baselines._spectral import compose
from frism.method import Array, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0, "of": "lrm"}


def merge(site: Site, *, strength: float = 1.0, of: Literal["sum", "lrm"] = "sum") -> Array:
    """Merge one matrix, fp32."""
    spectrum = site.decompose(of)
    if spectrum is None:
        return site.vlm
    s = spectrum.s
    real = s > s[0] * max(site.vlm.shape) * torch.finfo(s.dtype).eps
    flat = compose(spectrum.u.float(), s.mean() * real, spectrum.vh.float())
    return (site.base if of == "sum" else site.vlm) + strength * flat
