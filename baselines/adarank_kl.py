"""AdaRank with FRISM's loss: singular directions of tau_R kept or dropped by a learned mask.

AdaRank, arXiv 2503.22178 (ICLR 2026): a binary mask per singular direction, learned through the
straight-through gradient of sigmoid(m / 10) from m = +/-0.1; the share `kept` of the leading directions is in
at first (1 as for its task arithmetic). Here V + `strength` * U diag(mask * S) V^T with KL to the unmodified
VLM minus alpha times the injected energy (FRISM, arXiv 2601.21187) in place of the entropy on test data: hard
against soft gates, the loss alike. Deviations: tau_R alone is masked, V whole; `strength` is fixed, not
learned layer by layer; nothing is chosen by test accuracy. A truncated spectrum's tail has a mask of its own.
"""

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting, Fraction
from frism.methods.frism import FAMILY, NEEDS, merge

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]


GRANULARITY = "direction"
GRADIENTS = "model"


def fit(fitting: Fitting, *, strength: float = 0.2, kept: Fraction = 1.0, learning: Learning) -> Fitted:
    """Learn the masks: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates("mask", kept=kept), strength, learning)
