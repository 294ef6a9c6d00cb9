"""The learner against plain autograd through every rebuilt matrix, in float64."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRMSNorm

from benchmarks.calibration import load as calibrations
from benchmarks.study import calibration_settings
from frism.compute import Compute
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method.fitting import Fitting
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

from . import dense

MINIATURE = Path(__file__).parents[3] / "benchmarks" / "miniature" / "weights"
STRENGTH, ALPHA, LR, ROOM = 1.2, 0.1, 0.05, 4


@pytest.fixture(autouse=True)
def norms_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the model's own precision in its norms, for both: transformers computes them in float32.

    There, a difference in the sixteenth digit between two ways of computing may become one in the seventh,
    and fifty steps make that a few millionths of a gate.
    """

    def forward(norm: Qwen2_5_VLRMSNorm, x: torch.Tensor) -> torch.Tensor:
        return norm.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.variance_epsilon)

    monkeypatch.setattr(Qwen2_5_VLRMSNorm, "forward", forward)


def both(
    triple: Triple, questions: list, steps: int, rank: int | None = None, tail_every: int = 1
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What the learner and the reference find, all questions in every step."""
    spectra = Spectra(triple, SpectrumSettings(rank=rank))
    learning = Learning(
        alpha=ALPHA, lr=LR, steps=steps, batch=len(questions), max_new_tokens=ROOM, tail_every=tail_every
    )
    fitting = Fitting(
        triple, spectra=spectra, calibration=SimpleNamespace(questions=questions),
        compute=Compute(dtype="float64"),
    )  # fmt: skip
    ours = learn(fitting, Gates(), STRENGTH, learning).flatten()
    reference = dense.learn(
        triple, questions, spectra, strength=STRENGTH, alpha=ALPHA, lr=LR, steps=steps, max_new_tokens=ROOM,
        tail_every=tail_every,
    )  # fmt: skip
    return ours, reference


def check(ours: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> None:
    opened = {name for name in reference if "/" in name}
    assert opened == {name for name in ours if "/open" in name}
    for name in opened:
        torch.testing.assert_close(ours[name].double(), reference[name], rtol=1e-6, atol=0)
    torch.testing.assert_close(ours["curve/kl"].double(), reference["kl"], rtol=1e-6, atol=1e-12)


def test_five_steps_are_those_of_the_dense_reference(triple: Triple, calibration: SimpleNamespace) -> None:
    ours, reference = both(triple, calibration.questions[:3], steps=5)
    check(ours, reference)
    moved = torch.cat([value.flatten() for name, value in ours.items() if "/open" in name])
    assert moved.max() - moved.min() > 0.1


def test_a_truncated_spectrum_with_its_tail_is_too(triple: Triple, calibration: SimpleNamespace) -> None:
    ours, reference = both(triple, calibration.questions[:2], steps=5, rank=12, tail_every=2)
    check(ours, reference)
    assert sum(name.endswith("open_tail") for name in ours) == len(triple.names("mat"))


@pytest.mark.slow
@pytest.mark.parametrize("rank", [None, 32])
def test_fifty_steps_on_the_miniature_are_too(rank: int | None) -> None:
    triple = Triple.open(*(MINIATURE / role for role in ("base", "vlm", "lrm")))
    questions = calibrations.load_calibration(
        calibration_settings.CalibrationSettings(questions=8), seed=0
    ).questions
    check(*both(triple, list(questions), steps=50, rank=rank, tail_every=1 if rank is None else 4))
