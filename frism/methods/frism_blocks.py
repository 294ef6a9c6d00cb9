"""FRISM, block-wise: one gate per block of neighbouring directions.

V + strength * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with one gate for every `size`
directions that follow one another in the falling order of their singular values (the last block of a matrix
may be shorter); the tail of a truncated spectrum keeps a gate of its own. `size` 1 is `frism`. Asks how
fine the granularity has to be. A variation of this project.
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


def fit(
    triple: Triple,
    calibration: Any,  # with `questions`: a sequence of (picture, question)
    *,
    strength: float = 0.2,
    size: int = 16,
    learning: Learning,
    spectra: Spectra,
    compute: Compute,
    workspace: Path | None,
    seed: int = 0,
    progress: str = "frism_blocks",
) -> dict[str, Tensor]:
    """Learn the gates: "<tensor name>/open", where truncated "/open_tail", and "curve/<quantity>".

    Raises UserError for a `size` below 1.
    """
    if size < 1:
        raise UserError(f"method frism_blocks: parameter 'size' must be at least 1, not {size}.")
    return learn(
        triple, calibration, spectra,
        strength=strength, learning=learning, gates=Gates(block=size), compute=compute, workspace=workspace,
        seed=seed, progress=progress,
    )  # fmt: skip
