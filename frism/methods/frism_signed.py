"""FRISM, signed: coefficients of either sign, unbounded.

V + `strength` * U diag(c * S) V^T with c any real numbers, from one half on; everything else as in `frism`
(arXiv 2601.21187). Its sigmoid confines every coefficient to (0, strength): this asks whether that bound
costs anything. Nothing but the number of steps holds c back where KL does not. A variation of this project.
"""

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting
from frism.methods.frism import FAMILY, NEEDS, merge

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]


GRANULARITY = "direction"
GRADIENTS = "model"


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the coefficients: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates("free"), strength, learning)
