"""Recomputed layers: the same bits, less kept; the layers are themselves again afterwards."""

from types import SimpleNamespace

import pytest
import torch

from frism.compute import Compute
from frism.distillation.prompts import prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings, answer_questions
from frism.gates.learner import gate_model
from frism.gates.parametrisation import Gates
from frism.gates.recomputation import SHARE, recomputation_pays, recompute
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


@pytest.mark.parametrize("rank", [None, 16])
def test_gradients_are_the_same_bits(triple: Triple, calibration: SimpleNamespace, rank: int | None) -> None:
    receiver = Receiver.load(triple, Compute())
    example = answer_questions(
        receiver,
        prepare_questions(receiver.processor, calibration.questions, range(3)),
        TeacherSettings(max_new_tokens=3),
    )
    injection = gate_model(
        receiver, Spectra(triple, SpectrumSettings(rank=rank)), strength=1.0, gates=Gates(), compute=Compute()
    )
    saved: list[int] = []

    def gradients() -> list[torch.Tensor]:
        for parameter in injection.parameters():
            parameter.grad = None
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            divergence = example.divergence(receiver)
        saved.append(sum(kept))
        divergence.backward()
        found = [parameter.grad for parameter in injection.parameters()]
        return [gradient for gradient in found if gradient is not None]

    with injection.apply():
        plain = gradients()
        with recompute(receiver.layers):
            again = gradients()
    assert len(plain) == len(again) == len(injection.parameters())
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert saved[1] < saved[0] / 3
    assert not any("forward" in vars(layer) for layer in receiver.layers)


def test_it_pays_when_activations_would_fill_the_memory(
    triple: Triple, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = Receiver.load(triple, Compute()).layers
    # Per token and layer: q, k, v, o of width 128 (k, v to 64), gate, up, down of width 384; fp32.
    size = 6 * 4 * (2 * 256 + 2 * 192 + 3 * 512)
    monkeypatch.setattr("frism.gates.recomputation._memory", lambda device: 1000 * size)
    assert not recomputation_pays(layers, int(1000 * SHARE), torch.device("cpu"))
    assert recomputation_pays(layers, int(1000 * SHARE) + 1, torch.device("cpu"))
