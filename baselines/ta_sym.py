"""Task arithmetic (symmetric): B + strength * (tau_V + tau_R).

Editing models with task arithmetic, arXiv 2212.04089, as published: one coefficient for both task vectors, so
a `strength` below one also shrinks what the VLM learned. 0.3 is the original's value for eight tasks and the
usual library default. Deviation: embeddings and lm_head always come from V.
"""

from frism.method import Array, Site
from frism.method.mergekit import Config, Names, configure_task_vectors

GRANULARITY = "model"
ARITHMETIC = True


def merge(site: Site, *, strength: float = 0.3) -> Array:
    """Merge one tensor, fp32. `strength` 0 is B, 1 is V + tau_R."""
    return site.base + strength * (site.tau_v + site.tau_r)


def mergekit(names: Names, *, strength: float) -> Config:
    """Write the merge as mergekit's task_arithmetic."""
    return configure_task_vectors("task_arithmetic", names, {"weight": strength}, {"weight": strength})
