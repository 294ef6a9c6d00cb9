"""AdaRank: singular directions of tau_R kept or dropped by a mask that lowers the entropy of answers.

AdaRank, arXiv 2503.22178 (ICLR 2026): a binary mask per singular direction, learned through the
straight-through gradient of sigmoid(m / 10) from m = +/-0.1, by the entropy of the merged model's own
predictions; the share `kept` of the leading directions is in at first. Here V + `strength` * U diag(mask * S)
V^T, with the entropy of every token of the unmodified VLM's answers to calibration questions (the curve shows
the KL, which is not learned from, and alpha is 0). Deviations: calibration instead of test data; tau_R alone
is masked, V whole; `strength` is fixed, not learned layer by layer; nothing is chosen by test accuracy.
"""

from frism.gates.learner import learn
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting, Fraction
from frism.methods.frism import FAMILY, NEEDS, merge
from frism.methods.frism_no_injection import Unrewarded

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]

GRANULARITY = "direction"
GRADIENTS = "model"
IGNORES = {"alpha"}


def fit(fitting: Fitting, *, strength: float = 0.2, kept: Fraction = 1.0, learning: Unrewarded) -> Fitted:
    """Learn the masks: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates("mask", kept=kept), strength, learning, objective="entropy")
