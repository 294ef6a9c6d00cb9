"""The spectrum is the task vector again, and its energy the squared norm."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frism.spectra.spectrum import decompose

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))


def matrix(shape: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(SHAPES, st.integers(0, 1000))
def test_all_gates_open_give_the_matrix_back(shape: tuple[int, int], seed: int) -> None:
    tau = matrix(shape, seed)
    spectrum = decompose(tau)
    assert spectrum.s.shape == (min(shape),)
    torch.testing.assert_close(spectrum.gate(torch.ones_like(spectrum.s)), tau, atol=1e-5, rtol=1e-4)


@settings(deadline=None)
@given(SHAPES, st.integers(0, 1000))
def test_energy_is_the_squared_norm_of_the_gated_sum(shape: tuple[int, int], seed: int) -> None:
    spectrum = decompose(matrix(shape, seed))
    gains = torch.rand(spectrum.s.shape, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        spectrum.energy(gains), spectrum.gate(gains).square().sum(), rtol=1e-4, atol=1e-6
    )


def test_nothing_depends_on_the_signs_of_the_directions() -> None:
    spectrum = decompose(matrix((6, 9), 0))
    signs = torch.tensor([1.0, -1, 1, -1, -1, 1])
    flipped = type(spectrum)(spectrum.u * signs, spectrum.s, spectrum.vh * signs[:, None])
    gains = torch.linspace(0, 1, 6)
    torch.testing.assert_close(flipped.gate(gains), spectrum.gate(gains))
