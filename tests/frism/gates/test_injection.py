"""The side branch is the gated merge; its gates get the gradient that the rebuilt matrix would give them."""

import pytest
import torch
from torch import nn

from frism.gates.injection import GatedInjection, gate_gains
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import decompose


@pytest.fixture
def layer() -> tuple[nn.Linear, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(12, 8, bias=True)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(8, 12, generator=generator))
    linear.requires_grad_(False)
    return linear, 0.1 * torch.randn(8, 12, generator=generator)


def test_branch_equals_the_merged_matrix_and_vanishes_outside(layer: tuple[nn.Linear, torch.Tensor]) -> None:
    linear, tau = layer
    injection = GatedInjection({"w": linear}, {"w": decompose(tau)}, strength=1.3)
    with torch.no_grad():
        injection.logits["w"].copy_(torch.linspace(-2, 2, 8))
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    gains = 1.3 * torch.sigmoid(injection.logits["w"].detach())
    merged = linear.weight + decompose(tau).gated(gains)
    with injection.applied():
        torch.testing.assert_close(
            linear(x), nn.functional.linear(x, merged, linear.bias), atol=1e-5, rtol=1e-4
        )
    assert torch.equal(linear(x), nn.functional.linear(x, linear.weight, linear.bias))


def test_gates_start_half_open(layer: tuple[nn.Linear, torch.Tensor]) -> None:
    linear, tau = layer
    injection = GatedInjection({"w": linear}, {"w": decompose(tau)}, strength=1.0)
    assert injection.quantiles(0.1, 0.9) == [0.5, 0.5]
    torch.testing.assert_close(injection.injected_energy(), torch.tensor(0.25))


def test_gradient_equals_the_identity_of_the_rebuilt_matrix(layer: tuple[nn.Linear, torch.Tensor]) -> None:
    """dL/dg_k = strength * S_k * sigma'(g_k) * u_k^T (dL/dW) v_k, in fp64 for a sharp comparison."""
    linear, tau = layer
    linear, tau = linear.double(), tau.double()
    u, s, vh = torch.linalg.svd(tau, full_matrices=False)
    spectrum = type(decompose(tau))(u, s, vh)
    injection = GatedInjection({"w": linear}, {"w": spectrum}, strength=0.7)
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with injection.applied():
        linear(x).tanh().square().sum().backward()
    gates = torch.sigmoid(injection.logits["w"].detach())
    weight = (linear.weight + spectrum.gated(0.7 * gates)).requires_grad_()
    nn.functional.linear(x, weight, linear.bias).tanh().square().sum().backward()
    expected = 0.7 * s * gates * (1 - gates) * torch.einsum("ik,ij,kj->k", u, weight.grad, vh)
    torch.testing.assert_close(injection.logits["w"].grad, expected)


def test_gains_measure_the_injected_norm(triple) -> None:
    name = triple.names("mat")[0]
    tau = triple.read("lrm", name) - triple.read("base", name)
    logits = torch.linspace(-3, 3, min(tau.shape))
    gain = gate_gains(Spectra(triple), {f"{name}/open": torch.sigmoid(logits)}, strength=1.5)[name]
    torch.testing.assert_close(gain.whole, tau.norm())
    torch.testing.assert_close(gain.injected, decompose(tau).gated(1.5 * torch.sigmoid(logits)).norm())
