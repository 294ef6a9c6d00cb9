"""FRISM without its reward for injecting: KL alone decides.

V + strength * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with alpha = 0: nothing speaks for an
open gate. Notes on the paper say that all gates then close and nothing is injected; how far they get
depends on steps and lr. An ablation of this project.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from frism.compute import Compute
from frism.errors import UserError
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.methods.frism import merge
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

__all__ = ["fit", "merge"]

UNREWARDED = Learning(alpha=0.0)


def fit(
    triple: Triple,
    calibration: Any,  # with `questions`: a sequence of (picture, question)
    *,
    strength: float = 0.2,
    learning: Learning = UNREWARDED,
    spectra: Spectra,
    compute: Compute,
    workspace: Path | None,
    seed: int = 0,
    progress: str = "frism_no_injection",
) -> dict[str, Tensor]:
    """Learn the gates: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>".

    Raises UserError for an `alpha` other than 0.
    """
    if learning.alpha != 0:
        raise UserError(
            f"method frism_no_injection: alpha is 0 by definition, not {learning.alpha}: leave it out or use"
            " frism."
        )
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates(), compute=compute, workspace=workspace,
        seed=seed, progress=progress,
    )  # fmt: skip
