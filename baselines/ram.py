"""RAM: what one model alone changed is added (RAM+: amplified), what both changed is averaged.

Reinforced Agent Merging, arXiv 2601.13572 (and mergekit's `ram` and `ramplus_tl`), per tensor: an entry
counts as changed by a model where |tau| > `changed`. B + `strength` * (shared entries: the mean of tau_V and
tau_R; unique ones: tau_t * lambda_t), lambda_t = 1 + `gain` * min(shared / unique entries of t, `most`);
`gain` 0 is RAM without amplification. Made for RL-trained models, whose updates are sparse in bf16; of dense
task vectors nearly every entry is shared, and this is their mean. Deviation: `strength` (1 as published).
"""

import torch
from torch import Tensor

from frism.method import Array, NonNegative, Pieces, Site

GRANULARITY = "entry"
ELEMENTWISE = True  # given the counts


def merge(
    site: Site,
    *,
    changed: NonNegative = 1e-5,
    gain: NonNegative = 0.1,
    most: NonNegative = 0.2,
    strength: float = 1.0,
) -> Array:
    """Merge one tensor, fp32."""
    shared, *unique = site.measured
    taus, (by_vlm, by_lrm) = (site.tau_v, site.tau_r), _find_changed(site, changed)
    lambdas = [1 + gain * min(shared / count if count else 0.0, most) for count in unique]
    merged = by_vlm * by_lrm * (taus[0] + taus[1]) / 2
    merged += by_vlm * (1 - by_lrm) * lambdas[0] * taus[0] + by_lrm * (1 - by_vlm) * lambdas[1] * taus[1]
    return site.base + strength * merged


def measure(pieces: Pieces, *, changed: NonNegative = 1e-5) -> tuple[int, int, int]:
    """Count the entries that both changed, V alone, R alone."""
    total = torch.zeros(3, dtype=torch.int64)
    for piece in pieces():
        v, r = (mask.bool() for mask in _find_changed(piece, changed))
        total += torch.stack([(v & r).sum(), (v & ~r).sum(), (r & ~v).sum()]).cpu()
    shared, by_vlm, by_lrm = total.tolist()
    return shared, by_vlm, by_lrm


def _find_changed(site: Site, changed: float) -> tuple[Tensor, Tensor]:
    of_vlm, of_lrm = ((tau.abs() > changed).to(tau.dtype) for tau in (site.tau_v, site.tau_r))
    return of_vlm, of_lrm
