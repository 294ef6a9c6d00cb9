"""SCE: the entries that differ most, weighted by each model's energy, minus those against the majority.

FuseChat's Select, Calculate, Erase (arXiv 2408.07990, v4; mergekit 0.1.5), per tensor: of tau_V and tau_R the
`density` share of entries with the largest variance between the two is selected; each model's weight is its
share of the mean squares; entries against the sign of the sum are erased; B + `strength` * the weighted mean
of what is left. Deviations: `strength` (1 as published). mergekit calls all weights equal where the mean
squares sum to less than 1e-6, as they do for most fine-tuned language models, whose updates are of the order
of 1e-3 and less; `floor` 1e-6 does so too.
"""

from typing import Any

import torch

from baselines._election import sum_elected
from baselines._trimming import cuts_at
from frism.method import Array, NonNegative, Share, Site
from frism.method.mergekit import Config, Names

GRANULARITY = "entry"
MERGEKIT_DIFFERENCE = "sce: mergekit's weights are equal where mean squares sum to less than 1e-6 (`floor`)."


def merge(site: Site, *, density: Share = 0.1, strength: float = 1.0, floor: NonNegative = 0.0) -> Array:
    """Merge one tensor, fp32."""
    taus = torch.stack((site.tau_v, site.tau_r))
    if density < 1:
        # Of two values the variance is a quarter of the squared difference.
        variance = taus.var(dim=0, unbiased=False)
        kept = int(int(variance.count_nonzero()) * density)
        (cut,) = cuts_at(lambda: iter([(variance.flatten(),)]), lambda size: [kept], exact=True)
        taus = taus * (cut.keep(variance) > 0)
    energy = taus.square().flatten(1).mean(dim=1)
    total = float(energy.sum())
    weights = (0.5, 0.5) if total <= floor else (float(energy[0]) / total, float(energy[1]) / total)
    merged, divisor = sum_elected((taus[0], taus[1]), weights, "plain", "positive", "weights")
    return site.base + strength * merged / divisor


def mergekit(names: Names, *, density: float, strength: float, **_: Any) -> Config:
    """Write the merge as mergekit's sce, at strength 1."""
    models = [{"model": names[role]} for role in ("vlm", "lrm")]
    return {"merge_method": "sce", "base_model": names["base"], "models": models,
            "parameters": {"select_topk": density}}  # fmt: skip
