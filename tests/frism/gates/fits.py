"""One small fit from the command line, for tests that kill it: `python fits.py BASE VLM LRM OUT STEPS`."""

import random
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.calibration import load as calibrations
from benchmarks.study import calibration_settings
from frism.files import atomic_write
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method.fitting import Fitting
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


def fit(triple: Triple, workspace: Path | None, steps: int, **changes: Any) -> dict[str, Tensor]:
    """Truncated spectra, several passes over the batches, held-out questions, a falling learning rate."""
    options = {"schedule": "cosine", "alpha": 0.2, "lr": 0.05, "batch": 2, "max_new_tokens": 3, "held_out": 2,
               "check_every": 3, "tail_every": 2} | changes  # fmt: skip
    fitting = Fitting(
        triple, seed=3, workspace=workspace, spectra=Spectra(triple, SpectrumSettings(rank=16)),
        calibration=calibrations.load_calibration(
            calibration_settings.CalibrationSettings(questions=8), seed=0
        ),
    )  # fmt: skip
    return learn(fitting, Gates(), 1.0, Learning(steps=steps, **options)).flatten()


if __name__ == "__main__":
    random.seed()  # nothing may depend on what else is random
    torch.manual_seed(random.randrange(1 << 30))
    print("begins", flush=True)
    opened = Triple.open(*sys.argv[1:4])
    found = fit(opened, Path(sys.argv[4]) / "work", int(sys.argv[5]))
    with atomic_write(Path(sys.argv[4]) / "fitted.safetensors") as temporary:
        save_file(found, temporary)
