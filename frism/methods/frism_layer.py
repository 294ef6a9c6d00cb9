"""FRISM, layer-wise: one gate per matrix, the granularity that FRISM argues against.

V + strength * sigmoid(g) * tau_R with one gate g per matrix, learned as in `frism` (arXiv 2601.21187):
layer-wise merging with FRISM's loss, so that granularity is all that differs. A truncated spectrum's tail
shares the gate. A variation of this project.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from frism.compute import Compute
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

ELEMENTWISE = True


def merge(
    base: Tensor, vlm: Tensor, lrm: Tensor, *, strength: float = 0.2, fitted: dict[str, Tensor]
) -> Tensor:
    """One matrix, fp32. `fitted["open"]`: its one open fraction, repeated for every direction, shape (k,)."""
    return vlm + strength * fitted["open"][0] * (lrm - base)


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
    progress: str = "frism_layer",
) -> dict[str, Tensor]:
    """Learn the gates: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>"."""
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates(shared=True), compute=compute, workspace=workspace,
        seed=seed, progress=progress,
    )  # fmt: skip
