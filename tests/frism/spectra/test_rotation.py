"""Random directions: a task vector's exact parts, orthogonal, of known norms, and drawn from the seed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frism.seeds import make_generator
from frism.spectra.rotation import RotatedSpectra, draw_orthogonal, rotate
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import Triple

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(6, 6), (9, 4), (3, 11), (1, 5)])


def exact(tau: torch.Tensor, rank: int | None = None) -> Spectrum:
    """An independent float64 spectrum, cut to `rank`."""
    u, s, vh = torch.linalg.svd(tau, full_matrices=False)
    rank = len(s) if rank is None else rank
    tail = None if rank == len(s) else s[rank:].square().sum()
    return Spectrum(u[:, :rank], s[:rank], vh[:rank], tail)


def draw(seed: int, shape: tuple[int, int]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parts(spectrum: Spectrum) -> torch.Tensor:
    """The rank-one parts, (k, d_out, d_in)."""
    return torch.einsum("ok,k,ki->koi", spectrum.u, spectrum.s, spectrum.vh)


@settings(deadline=None)
@given(seeds, shapes)
def test_parts_sum_to_the_task_vector_are_orthogonal_and_have_the_stated_norms(
    seed: int, shape: tuple[int, int]
) -> None:
    tau = draw(seed, shape)
    spectrum = exact(tau)
    turned = rotate(spectrum, make_generator(seed, "x"))
    found = parts(turned)
    torch.testing.assert_close(found.sum(0), tau, atol=1e-5, rtol=1e-5)  # Q is drawn in fp32
    gram = torch.einsum("joi,koi->jk", found, found)
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-5, rtol=0)
    q = draw_orthogonal(len(spectrum.s), make_generator(seed, "x")).double()
    torch.testing.assert_close(turned.s, (spectrum.s[:, None] * q).norm(dim=0))
    torch.testing.assert_close(turned.s, gram.diagonal().sqrt(), atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(seeds)
def test_a_gated_sum_has_the_energy_of_its_parts_with_and_without_a_tail(seed: int) -> None:
    tau = draw(seed, (7, 9))
    opened = torch.rand(7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for rank in (3, 7):
        turned = rotate(exact(tau, rank), make_generator(seed, "x"))
        tail = torch.tensor(0.3, dtype=torch.float64) if rank < 7 else None
        gated = turned.gate(opened[:rank], tail, tau)
        torch.testing.assert_close(
            turned.energy(opened[:rank], tail), gated.square().sum(), atol=1e-5, rtol=1e-5
        )
        all_open = turned.gate(
            torch.ones(rank, dtype=torch.float64), None if tail is None else tail / tail, tau
        )
        torch.testing.assert_close(all_open, tau, atol=1e-5, rtol=1e-5)


def test_rotation_is_orthogonal_and_uniform() -> None:
    """First and second moments of a Haar matrix: mean 0, mean square 1 / k, for the diagonal too."""
    q = draw_orthogonal(40, make_generator(0, "x"))
    torch.testing.assert_close(q @ q.T, torch.eye(40), atol=1e-5, rtol=0)
    draws = torch.stack([draw_orthogonal(4, make_generator(i, "x")) for i in range(2000)])
    assert draws.mean(0).abs().max() < 5 * (1 / 4 / 2000) ** 0.5
    assert (draws.square().mean(0) - 1 / 4).abs().max() < 0.05


def test_a_task_vector_of_zero_has_directions_of_norm_zero() -> None:
    turned = rotate(exact(torch.zeros(5, 4, dtype=torch.float64)), make_generator(0, "x"))
    assert torch.equal(turned.s, torch.zeros(4, dtype=torch.float64))
    assert torch.isfinite(turned.u).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    plain = exact(draw(0, (6, 5)).float())
    turned = rotate(Spectrum(plain.u.to(dtype), plain.s, plain.vh.to(dtype)), make_generator(0, "x"))
    assert (turned.u.dtype, turned.s.dtype, turned.vh.dtype) == (dtype, torch.float32, dtype)


def test_of_a_triple_depends_on_seed_and_name_alone(triple: Triple) -> None:
    first, second = triple.names("mat")[:2]
    turned = RotatedSpectra(Spectra(triple), seed=3)
    again = RotatedSpectra(Spectra(triple), seed=3)
    again.load(second)
    assert torch.equal(turned.load(first).vh, again.load(first).vh)
    assert not torch.equal(turned.load(first).vh, RotatedSpectra(Spectra(triple), seed=4).load(first).vh)
    assert torch.equal(
        turned.load(first).vh, rotate(Spectra(triple).load(first), make_generator(3, first)).vh
    )
