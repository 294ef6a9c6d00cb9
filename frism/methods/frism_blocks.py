"""FRISM, block-wise: one gate per block of neighbouring directions.

V + `strength` * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with one gate for every `size`
directions that follow one another in the falling order of their singular values (the last block of a matrix
may be shorter); the tail of a truncated spectrum keeps a gate of its own. `size` 1 is `frism`. Asks how
fine the granularity has to be. A variation of this project.
"""

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Count, Fitted, Fitting
from frism.methods.frism import FAMILY, NEEDS, merge

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]


GRANULARITY = "direction"
GRADIENTS = "model"


def fit(fitting: Fitting, *, strength: float = 0.2, size: Count = 16, learning: Learning) -> Fitted:
    """Learn the gates: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates(block=size), strength, learning)
