"""FRISM, layer-wise: one gate per matrix, the granularity that FRISM argues against.

V + `strength` * sigmoid(g) * tau_R with one gate g per matrix, learned as in `frism` (arXiv 2601.21187):
layer-wise merging with FRISM's loss, so that granularity is all that differs. A truncated spectrum's tail
shares the gate. A variation of this project.
"""

from torch import Tensor

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting, Site

GRANULARITY = "matrix"
GRADIENTS = "model"
NEEDS = {"calibration", "spectrum"}
FAMILY = "frism"
ELEMENTWISE = True


def merge(site: Site, *, strength: float = 0.2) -> Tensor:
    """Merge one matrix. `site.fitted["open"]`: one open fraction, repeated k times."""
    return site.vlm + strength * site.fitted["open"][0] * site.tau_r


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the gates: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates(shared=True), strength, learning)
