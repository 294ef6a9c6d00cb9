"""FRISM without its KL: only the injected energy counts.

V + strength * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with the divergence left out of the
loss: every gate opens, as far as steps and lr let it, whatever the questions. The curve still shows the KL.
What FRISM's perception questions add is the difference from this. An ablation of this project.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from frism.compute import Compute
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.methods.frism import merge
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

__all__ = ["fit", "merge"]


def fit(
    triple: Triple,
    calibration: Any,  # with `questions`: a sequence of (picture, question)
    *,
    strength: float = 0.2,
    learning: Learning,
    spectra: Spectra,
    compute: Compute,
    workspace: Path | None,
    seed: int = 0,
    progress: str = "frism_no_kl",
) -> dict[str, Tensor]:
    """Learn the gates: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>"."""
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates(), compute=compute, workspace=workspace, seed=seed,
        progress=progress, kl_weight=0.0,
    )  # fmt: skip
