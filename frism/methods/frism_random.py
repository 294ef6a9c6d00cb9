"""FRISM on random directions: orthogonal ones from the seed instead of singular ones.

V + `strength` * sum_j open_j (tau_R w_j) w_j^T, learned as in `frism` (arXiv 2601.21187), over random
orthonormal input directions w_j = V q_j, drawn from the seed: as many gates, the same sum, parts just as
orthogonal, but none of them is special. Asks whether the SVD matters or any directions would do. A
truncated spectrum's tail stays what it is. An ablation of this project.
"""

from dataclasses import replace

from torch import Tensor

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting, Site
from frism.methods._gated import merge_gated
from frism.spectra.rotation import RotatedSpectra, rotate

GRANULARITY = "direction"
GRADIENTS = "model"
NEEDS = {"calibration", "spectrum", "seed"}
FAMILY = "frism"
DIRECTIONS = "random"


def merge(site: Site, *, strength: float = 0.2) -> Tensor:
    """Merge one matrix (d_out, d_in). `site.fitted["open"]`: of the random directions, shape (k,)."""
    directions = rotate(site.spectrum, site.rng) if site.spectrum is not None else None
    return merge_gated(site, directions, site.fitted, strength)


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Learning) -> Fitted:
    """Learn the gates: as `frism`, and per tensor "norms", the directions' Frobenius norms, (k,)."""
    directions = RotatedSpectra(fitting.spectra, fitting.seed)
    fitted = learn(replace(fitting, spectra=directions), Gates(), strength, learning)
    tensors = {name: {**entries, "norms": directions.norms[name]} for name, entries in fitted.tensors.items()}
    return replace(fitted, tensors=tensors)
