"""Linear: a weighted mean of B, V and R.

Model soups, arXiv 2203.05482 (equal weights are its average): `base_weight` * B + `vlm_weight` * V +
`lrm_weight` * R, divided by the sum of the weights (`normalize`). With weights that sum to one this is
B + vlm_weight * tau_V + lrm_weight * tau_R, task arithmetic with a coefficient for each task vector.
Deviation: none; with `base_weight` 0 it is `interp`, which does not read B.
"""

from dataclasses import dataclass

from frism.method import Array, Site
from frism.method.mergekit import Config, Names, configure_linear

GRANULARITY = "model"
ARITHMETIC = True


@dataclass(frozen=True)
class Weights:
    """Of the three models; with `normalize` divided by their sum."""

    base_weight: float = 0.0
    vlm_weight: float = 0.5
    lrm_weight: float = 0.5
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.normalize and abs(self.total) < 1e-8:
            raise ValueError(f"the weights sum to {self.total}: choose others, or set 'normalize' to false.")

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return self.base_weight + self.vlm_weight + self.lrm_weight


def merge(site: Site, *, weights: Weights) -> Array:
    """Merge one tensor, fp32."""
    w = weights
    combined = w.base_weight * site.base + w.vlm_weight * site.vlm + w.lrm_weight * site.lrm
    return combined / w.total if w.normalize and w.total != 1 else combined  # a pass less, the same bits


def mergekit(
    names: Names, *, base_weight: float, vlm_weight: float, lrm_weight: float, normalize: bool
) -> Config:
    """Write the merge as mergekit's linear."""
    return configure_linear(names, {"base": base_weight, "vlm": vlm_weight, "lrm": lrm_weight}, normalize)
