"""Task arithmetic (injection): V + strength * tau_R, with tau_R = R - B.

Editing models with task arithmetic, arXiv 2212.04089, with the VLM in place of the base: tau_V stays whole.
This is what FRISM (arXiv 2601.21187) and IP-Merging (arXiv 2510.14387) compare with. The default 0.3 of
`strength` is the one that merging libraries use. Deviation: embeddings and lm_head always come from V.
"""

from frism.method import Array, Site
from frism.method.mergekit import Config, Names, configure_task_vectors

GRANULARITY = "model"
ARITHMETIC = True
IDENTITY = {"strength": 0.0}
SWEPT = True


def merge(site: Site, *, strength: float = 0.3) -> Array:
    """Merge one tensor, fp32. `strength` 0 is V exactly."""
    return site.vlm + strength * site.tau_r if strength else site.vlm  # also a -0.0 of V's stays


def mergekit(names: Names, *, strength: float) -> Config:
    """Write the merge as mergekit's task_arithmetic."""
    return configure_task_vectors("task_arithmetic", names, {"weight": 1.0}, {"weight": strength})
