"""FRISM without its KL: only the injected energy counts.

V + `strength` * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with the divergence left out of the
loss: every gate opens, as far as steps and lr let it, whatever the questions. The curve still shows the KL.
What FRISM's perception questions add is the difference from this. An ablation of this project.
"""

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting
from frism.methods.frism import FAMILY, NEEDS, merge

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]

GRANULARITY = "direction"
GRADIENTS = "model"
IGNORES = {"alpha"}  # no divergence to weigh it against


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the gates: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates(), strength, learning, kl_weight=0.0)
