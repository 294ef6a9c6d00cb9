"""FRISM on random directions: orthogonal ones from the seed instead of singular ones.

V + strength * sum_j open_j (tau_R w_j) w_j^T, learned as in `frism` (arXiv 2601.21187), over random
orthonormal input directions w_j = V q_j, drawn from the seed: as many gates, the same sum, parts just as
orthogonal, but none of them is special. Asks whether the SVD matters or any directions would do. A
truncated spectrum's tail stays what it is. An ablation of this project.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frism.compute import Compute
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.spectra.gains import merge_gated
from frism.spectra.rotation import RotatedSpectra, rotate
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
    generator: torch.Generator,
) -> Tensor:
    """One matrix (d_out, d_in), fp32. `fitted["open"]`: of the random directions, shape (k,)."""
    return merge_gated(vlm, base, lrm, rotate(spectrum, generator), fitted, strength)


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
    progress: str = "frism_random",
) -> dict[str, Tensor]:
    """Learn the gates.

    Returns "<tensor name>/open", where truncated "/open_tail", "/norms" (the directions' Frobenius norms,
    (k,)), and "curve/<quantity>".
    """
    directions = RotatedSpectra(spectra, seed)
    fitted = learn(
        triple, calibration, directions,
        strength=strength, learning=learning, gates=Gates(), compute=compute, workspace=workspace,
        seed=seed, progress=progress,
    )  # fmt: skip
    return fitted | {f"{name}/norms": norms for name, norms in directions.norms.items()}
