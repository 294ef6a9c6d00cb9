"""Every solver finds the singular value decomposition of every kind of matrix, to the accuracy of fp32."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frism.errors import UserError
from frism.spectra import gram as gram_solver
from frism.spectra.solvers import SOLVERS, solve
from tests.frism.spectra.matrices import KINDS, make

ON_CPU = [name for name, solver in SOLVERS.items() if solver.device != "cuda"]
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def check(matrix: Tensor, factors: tuple[Tensor, Tensor, Tensor], tolerance: float = 6e-6) -> None:
    """Against numpy in fp64: the product, both orthogonalities, and every singular value."""
    u, s, vh = (factor.double().numpy() for factor in factors)
    exact = matrix.double().numpy()
    k = min(matrix.shape)
    assert (u.shape, s.shape, vh.shape) == ((matrix.shape[0], k), (k,), (k, matrix.shape[1]))
    scale = np.linalg.norm(exact)
    assert np.linalg.norm((u * s) @ vh - exact) <= tolerance * scale
    assert np.abs(u.T @ u - np.eye(k)).max() <= tolerance
    assert np.abs(vh @ vh.T - np.eye(k)).max() <= tolerance
    assert (np.diff(s) <= 0).all()
    assert (s >= 0).all()
    assert np.abs(s - np.linalg.svd(exact, compute_uv=False)).max() <= tolerance * scale


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ON_CPU)
@pytest.mark.parametrize("shape", [(96, 96), (210, 60)])
def test_every_kind_of_matrix(solver: str, kind: str, shape: tuple[int, int]) -> None:
    matrix = make(kind, *shape)
    check(matrix, solve(matrix, min(shape), solver))
    check(matrix.T, solve(matrix.T, min(shape), solver))


@given(SHAPES, st.sampled_from(KINDS), st.sampled_from([*ON_CPU, "auto"]), st.integers(0, 1000))
@settings(deadline=None)
def test_every_shape(shape: tuple[int, int], kind: str, solver: str, seed: int) -> None:
    matrix = make(kind, max(shape), min(shape), seed)
    matrix = matrix if shape[0] >= shape[1] else matrix.T
    check(matrix, solve(matrix, min(shape), solver))


@pytest.mark.parametrize(("kind", "guard"), [("steep", "NEAR"), ("repeated columns", "FAR")])
def test_without_its_guards_the_gram_matrix_is_not_accurate(
    monkeypatch: pytest.MonkeyPatch, kind: str, guard: str
) -> None:
    matrix = make(kind, 200, 100)
    guarded = solve(matrix, 100, "gram")[0]
    monkeypatch.setattr(gram_solver, guard, float("inf"))
    plain = solve(matrix, 100, "gram")[0]
    departures = [(u.T @ u - torch.eye(100)).abs().max() for u in (guarded, plain)]
    assert departures[0] < 3e-6
    assert not departures[1] < 1e-5  # or not a number


def test_the_gram_matrix_in_strips_and_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram_solver, "ROWS", 7)
    matrix = make("flat", 50, 19)
    exact = matrix.double().T @ matrix.double()
    torch.testing.assert_close(gram_solver.form_gram_matrix(matrix), exact, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("solver", [*ON_CPU, "randomised"])
def test_the_same_bits_again(solver: str) -> None:
    matrix = make("rounded", 150, 40)

    def digest() -> str:
        factors = solve(matrix, 8, solver, seed=3)
        return hashlib.sha256(b"".join(factor.numpy().tobytes() for factor in factors)).hexdigest()

    assert digest() == digest()


@pytest.mark.parametrize("solver", ON_CPU)
def test_a_truncated_decomposition_is_the_head_of_the_whole(solver: str) -> None:
    matrix = make("power", 50, 30).T
    whole, head = solve(matrix, 30, solver), solve(matrix, 7, solver)
    torch.testing.assert_close(head[1], whole[1][:7])
    torch.testing.assert_close((head[0] * head[1]) @ head[2], (whole[0][:, :7] * whole[1][:7]) @ whole[2][:7])


@pytest.mark.parametrize("shape", [(300, 120), (120, 300)])
@pytest.mark.parametrize(("kind", "excess"), [("flat", 1.02), ("power", 1.01), ("outliers", 1.01)])
def test_random_projections_leave_little_more_than_the_optimum(
    shape: tuple[int, int], kind: str, excess: float
) -> None:
    matrix = make(kind, 300, 120)
    matrix = matrix if shape[0] > shape[1] else matrix.T
    u, s, vh = solve(matrix, 24, "randomised", seed=1)
    eye = torch.eye(24)
    assert max((u.T @ u - eye).abs().max(), (vh @ vh.T - eye).abs().max()) < 5e-6
    assert (s.diff() <= 0).all()
    optimum = torch.linalg.svdvals(matrix.double())[24:].norm()
    assert optimum * 0.999 <= (matrix - (u * s) @ vh).norm() <= optimum * excess


def test_random_projections_find_a_low_rank_exactly() -> None:
    matrix = make("flat", 80, 5) @ make("flat", 60, 5).T
    u, s, vh = solve(matrix, 12, "randomised")
    torch.testing.assert_close((u * s) @ vh, matrix, rtol=1e-4, atol=1e-4)


def test_a_solver_of_another_device_is_refused() -> None:
    with pytest.raises(UserError, match=r"solver gesvdj runs on cuda, not on cpu: choose auto"):
        solve(make("flat", 4, 3), 3, "gesvdj")
