"""FRISM: one learned gate per singular direction of tau_R.

V + `strength` * U diag(sigmoid(g) S) V^T with U S V^T = SVD(tau_R); arXiv 2601.21187 (eq. 7 to 10).
The gates minimise forward KL to the unmodified VLM on its own greedy answers to unlabelled
perception questions, minus alpha times the injected energy. Deviations: none known; the paper
publishes no hyper-parameters, so strength and those of learning are this project's defaults.
"""

from torch import Tensor

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting, Site
from frism.methods._gated import merge_gated

GRANULARITY = "direction"
GRADIENTS = "model"
NEEDS = {"calibration", "spectrum"}
FAMILY = "frism"


def merge(site: Site, *, strength: float = 0.2) -> Tensor:
    """Merge one matrix (d_out, d_in). `site.fitted["open"]`: the learned fractions sigmoid(g), shape (k,)."""
    return merge_gated(site, site.spectrum, site.fitted, strength)


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the gates: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates(), strength, learning)
