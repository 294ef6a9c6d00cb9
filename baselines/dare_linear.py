"""DARE-linear: V + strength * DARE(tau_R), random entries of tau_R dropped and the rest rescaled.

DARE, arXiv 2311.03099: every entry of a task vector is kept with probability `density` and divided by it
(`rescale`), so that the expected update is that of the linear merge; without `rescale` it is what the code of
Bring Reason to Vision and older PEFT really computed. Deviation: by default V is the anchor and only tau_R is
thinned, since dropping entries of tau_V undoes the VLM's alignment at random; `drop_vlm` thins tau_V too, as
published for merging: B + `vlm_weight` * DARE(tau_V) + strength * DARE(tau_R). `restore` "l1" rescales to the
L1 norm that each tensor had, as mergekit does, instead of dividing by `density` ("mean"). The seed decides
which entries are dropped: report several.
"""

from typing import Any, Literal

from baselines._sparsify import dare
from frism.method import Array, Share, Site
from frism.method.mergekit import Config, Names, configure_task_vectors

GRANULARITY = "entry"
NEEDS = {"seed"}
ELEMENTWISE = {"restore": "mean"}
MERGEKIT_DIFFERENCE = (
    "dare_linear: other random numbers, and mergekit rescales to the L1 norm of each tensor"
    " (`restore` in recipe.json)."
)


def merge(
    site: Site,
    *,
    density: Share = 0.5,
    strength: float = 0.3,
    rescale: bool = True,
    drop_vlm: bool = False,
    vlm_weight: float = 1.0,
    restore: Literal["mean", "l1"] = "mean",
) -> Array:
    """Merge one tensor, fp32. `density` 1 is plain injection at `strength`."""
    thinning = (density, site.rng, rescale, restore)
    anchor = site.base + vlm_weight * dare(site.tau_v, *thinning) if drop_vlm else site.vlm
    return anchor + strength * dare(site.tau_r, *thinning)


def mergekit(
    names: Names,
    *,
    density: float,
    strength: float,
    drop_vlm: bool,
    vlm_weight: float,
    rescale: bool,
    **_: Any,
) -> Config:
    """Write the merge as mergekit's dare_linear."""
    vlm = {"weight": vlm_weight, "density": density} if drop_vlm else {"weight": 1.0, "density": 1.0}
    return configure_task_vectors(
        "dare_linear", names, vlm, {"weight": strength, "density": density}, rescale=rescale
    )
