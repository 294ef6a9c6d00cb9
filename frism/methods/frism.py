"""FRISM: one learned gate per singular direction of tau_R.

V + strength * U diag(sigmoid(g) S) V^T with U S V^T = SVD(tau_R); arXiv 2601.21187 (eq. 7 to 10).
The gates minimise forward KL to the unmodified VLM on its own greedy answers to unlabelled
perception questions, minus alpha times the injected energy. Deviations: none known; the paper
publishes no hyper-parameters, so strength and those of learning are this project's defaults.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from frism.compute import Compute
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.spectra.gains import merge_gated
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import Triple


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    strength: float = 0.2,
    spectrum: Spectrum,
    fitted: dict[str, Tensor],
) -> Tensor:
    """One matrix (d_out, d_in), fp32. `fitted["open"]`: the learned open fractions sigmoid(g), shape (k,)."""
    return merge_gated(vlm, base, lrm, spectrum, fitted, strength)


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
    progress: str = "frism",
) -> dict[str, Tensor]:
    """Learn the gates: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>"."""
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates(), compute=compute, workspace=workspace, seed=seed,
        progress=progress,
    )  # fmt: skip
