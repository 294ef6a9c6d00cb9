"""Expert Merging: layer coefficients that keep both models' hidden states and distributions.

Expert Merging, arXiv 2509.25712: V + `strength` * c_l * tau_R, one c_l for each decoder layer, learned from
1/2 on so that on unlabelled questions the merge stays near each expert on its own answers, in distribution
and in the hidden states of every layer. Closest to FRISM in what it learns from, at the granularity of
layers; unlike it, R itself is a teacher. Deviations: V is whole, so tau_R alone has coefficients (the paper's
start at 0.1 to 0.4 of both task vectors); R answers the calibration questions' texts, with V's embedding and
head; no importance-guided chunks of layers (its ++ form); biases and norms stay V's.
"""

from frism.gates.alignment import Alignment, align
from frism.method import Array, Fitted, Fitting, Site

GRANULARITY = "layer"
GRADIENTS = "model"
NEEDS = {"calibration", "spectrum"}
IDENTITY = {"strength": 0.0}
ELEMENTWISE = True


def merge(site: Site, *, strength: float = 0.6) -> Array:
    """Merge one tensor, fp32. `site.fitted["open"]`: c_l, repeated; biases and norms have none."""
    return site.vlm + strength * site.fitted["open"][0] * site.tau_r if "open" in site.fitted else site.vlm


def fit(fitting: Fitting, *, strength: float = 0.6, alignment: Alignment) -> Fitted:
    """Learn the coefficients: per tensor "open", the same in a layer, and the curve of both distances."""
    return align(fitting, strength, alignment)
