"""WUDI: the merged update that interferes least with each model's own inputs, by descent on the weights.

Whoever Started the Interference Should End It, arXiv 2503.08099, per matrix: the rows of a task vector span
the inputs it answers to, so Delta minimises sum_t ||(Delta - tau_t) tau_t^T||^2 / ||tau_t||^2, from tau_V +
tau_R, by Adam; B + `strength` * Delta. `lr` 1e-5 and 300 `steps` as published; it is their product that
bounds how far an entry moves. Deviations: biases and norms stay V's; a task vector of zero has no term.
"""

import torch

from baselines._interference import Term, descend
from frism.method import Array, Index, Positive, Site

GRANULARITY = "matrix"
GRADIENTS = "weights"


def merge(site: Site, *, lr: Positive = 1e-5, steps: Index = 300, strength: float = 1.0) -> Array:
    """Merge one matrix, fp32."""
    if site.vlm.ndim != 2:
        return site.vlm
    taus = [tau for tau in (site.tau_v, site.tau_r) if tau.count_nonzero()]
    terms = [Term(tau, tau, tau.square().sum()) for tau in taus]
    start = torch.stack([site.tau_v, site.tau_r]).sum(dim=0)
    return site.base + strength * descend(start, terms, "adam", lr, steps)
