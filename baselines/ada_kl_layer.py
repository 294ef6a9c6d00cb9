"""Layer coefficients by FRISM's loss: V + c_l * tau_R, one learned c_l for each layer.

Layer-wise AdaMerging (arXiv 2310.02575) with the loss of FRISM (arXiv 2601.21187) in place of the entropy of
answers, which says nothing of a chain of thought: `strength` * c_l, c_l any real number from 1/2, is learned
by KL to the unmodified VLM on its own answers, minus alpha times the injected energy. What it lacks to FRISM
is the choice of directions: granularity apart from subspace (`frism_layer` has a gate per matrix). A
variation of this project. Deviations from AdaMerging: the loss; one coefficient per decoder layer for tau_R,
V whole.
"""

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Array, Fitted, Fitting, Site

GRANULARITY = "layer"
GRADIENTS = "model"
NEEDS = {"calibration", "spectrum"}
IDENTITY = {"strength": 0.0}
FAMILY = "frism"
ELEMENTWISE = True


def merge(site: Site, *, strength: float = 0.2) -> Array:
    """Merge one tensor, fp32. `site.fitted["open"]`: c_l, repeated; biases and norms have none."""
    return site.vlm + strength * site.fitted["open"][0] * site.tau_r if "open" in site.fitted else site.vlm


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the coefficients: per tensor "open", the same in a layer, and the learning curve."""
    return learn(fitting, Gates("free", shared=True, by_layer=True), strength, learning)
