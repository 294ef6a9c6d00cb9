"""Solve the SVD of one matrix: LAPACK and cuSOLVER, QR first, the Gram matrix, random projections.

Every solver takes a (m, n) matrix in fp32 with m >= n, and gives U (m, k), s (k,) falling and V^T (k, n) in
fp32. A wide matrix is solved as its transpose.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from frism.errors import UserError
from frism.spectra.costs import choose_solver
from frism.spectra.gram import solve_gram
from frism.spectra.randomised import solve_randomised

Factors = tuple[Tensor, Tensor, Tensor]


def solve_library(matrix: Tensor, driver: str | None = None) -> Factors:
    """Solve by the library: LAPACK's gesdd on a CPU, a driver of cuSOLVER on a GPU."""
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False, driver=driver)
    return u, s, vh


def solve_qr(matrix: Tensor) -> Factors:
    """Solve by Householder QR, then the SVD of the triangle: for tall matrices of any conditioning."""
    q, r = torch.linalg.qr(matrix)
    u, s, vh = torch.linalg.svd(r, full_matrices=False)
    return q @ u, s, vh


@dataclass(frozen=True)
class Solver:
    """Hold a solver of all directions, and the kind of device that it runs on ("" for any)."""

    solve: Callable[[Tensor], Factors]
    device: str = ""


SOLVERS = {
    "gesdd": Solver(solve_library, "cpu"),
    "gram": Solver(solve_gram),
    "qr": Solver(solve_qr),
    "gesvd": Solver(partial(solve_library, driver="gesvd"), "cuda"),
    "gesvdj": Solver(partial(solve_library, driver="gesvdj"), "cuda"),
    "gesvda": Solver(partial(solve_library, driver="gesvda"), "cuda"),
}


def solve(matrix: Tensor, rank: int, solver: str = "auto", seed: int = 0) -> Factors:
    """Return U (d_out, rank), s and V^T (rank, d_in), fp32, the leading directions of a (d_out, d_in) matrix.

    Args:
        matrix: fp32, on any device.
        solver: a name in SOLVERS, "randomised" or "auto" (the cheapest for this shape, rank and device).
        seed: of the random projection; no other solver draws.

    Raises UserError for a solver that does not run on the matrix's device.
    """
    solver = choose_solver(solver, tuple(matrix.shape), rank, matrix.device.type)
    tall = matrix.shape[0] >= matrix.shape[1]
    upright = matrix if tall else matrix.T.contiguous()
    if solver == "randomised":
        u, s, vh = solve_randomised(upright, rank, seed)
    else:
        exact = SOLVERS[solver]
        if exact.device not in ("", matrix.device.type):
            raise UserError(
                f"spectrum: solver {solver} runs on {exact.device}, not on {matrix.device.type}: choose auto."
            )
        u, s, vh = exact.solve(upright)
        u, s, vh = u[:, :rank], s[:rank], vh[:rank]
    if not tall:
        u, vh = vh.T, u.T
    return u.contiguous(), s.contiguous(), vh.contiguous()
