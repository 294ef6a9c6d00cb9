"""FRISM, signed: coefficients of either sign, unbounded.

V + strength * U diag(c * S) V^T with c any real numbers, from one half on; everything else as in `frism`
(arXiv 2601.21187). Its sigmoid confines every coefficient to (0, strength): this asks whether that bound
costs anything. Nothing but the number of steps holds c back where KL does not. A variation of this project.
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
    progress: str = "frism_signed",
) -> dict[str, Tensor]:
    """Learn the coefficients: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>"."""
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates("free"), compute=compute, workspace=workspace,
        seed=seed, progress=progress,
    )  # fmt: skip
