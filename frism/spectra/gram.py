"""Solve the SVD from the Gram matrix's eigenvectors, in fp64, and repair the smallest directions.

A^T A squares the condition number, so fp32 would lose every direction below a thousandth of the largest; in
fp64 the right singular vectors come out better than fp32 can hold. U = A V / s is a product, in fp32 where
that is accurate enough, else in fp64. Directions below the reach of fp64 are orthogonalised against the
others and solved once more among themselves.
"""

import math

import torch
from torch import Tensor

# With r = s_1 / s_k, A v_k / s_k departs from orthogonality by about 3e-7 r / sqrt(n) in fp32 (measured) and
# by 1e-16 r^2 in fp64. NEAR, in units of sqrt(n), keeps the first below 3e-6, FAR the second below 1e-7.
NEAR, FAR = 8.0, 3e4
MANY = 0.5  # share of directions beyond FAR from which solving them again costs as much as all
SEED = 260121187  # of directions that are arbitrary
ROWS, STRIPS = 2048, 8  # rows in hand in fp64; strips of the Gram matrix


def solve_gram(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (m, n), s (n,) and V^T (n, n) of a (m, n) matrix with m >= n, in fp32."""
    n = matrix.shape[1]
    exponent = math.frexp(float(matrix.abs().max()) if matrix.numel() else 0.0)[1]
    scale = 2.0 ** max(-126, min(126, exponent))  # a power of two: exact, and squares stay in range
    scaled = matrix / scale
    values, vectors = torch.linalg.eigh(form_gram_matrix(scaled))
    reach = values[-1] / values.clamp_min(torch.finfo(torch.float64).tiny)  # s_1^2 / s_k^2
    near, far = (int((reach <= limit**2).sum()) for limit in (NEAR * math.sqrt(n), FAR))
    if values[-1] <= 0 or far < (1 - MANY) * n:
        u, s, vh = torch.linalg.svd(scaled, full_matrices=False)
        return u, s * scale, vh
    vectors = vectors.flip(1)
    v = vectors.float()
    u = scaled @ v
    if near < n:
        for first in range(0, len(u), ROWS):
            rows = slice(first, first + ROWS)
            u[rows, near:] = (scaled[rows].double() @ vectors[:, near:]).float()
    s = values.flip(0).clamp_min(0).sqrt().float()
    u[:, :far] /= s[:far]
    if far < n:
        _repair(u, s, v, far)
    # In order but for the rounding of those that were repaired.
    return u, s.sort(descending=True).values * scale, v.T


def form_gram_matrix(matrix: Tensor) -> Tensor:
    """Return A^T A in fp64, (n, n): one half computed and mirrored, A widened a piece at a time."""
    n = matrix.shape[1]
    product = torch.zeros(n, n, dtype=torch.float64, device=matrix.device)
    step = max(1, -(-n // STRIPS))
    for rows in matrix.split(ROWS):
        wide = rows.double()
        for first in range(0, n, step):
            last = min(first + step, n)
            product[first:last, first:].addmm_(wide[:, first:last].T, wide[:, first:])
    return product.triu_().add_(product.triu(1).T)


def _repair(u: Tensor, s: Tensor, v: Tensor, first: int) -> None:
    """Orthogonalise the columns A v_k from `first` on, against the others and among themselves, in place."""
    leading, rest = u[:, :first], u[:, first:].clone()
    rest -= leading @ (leading.T @ rest)
    directions, values, rotation = torch.linalg.svd(rest, full_matrices=False)
    # Directions without any length are arbitrary: random ones can be made orthogonal, unit vectors may not.
    empty = values <= torch.finfo(torch.float32).eps * s[0]
    values[empty] = 0
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(u.shape[0], int(empty.sum()), generator=generator)
    directions[:, empty] = noise.to(u) / math.sqrt(u.shape[0])
    for _ in range(2):  # twice is enough
        q, r = torch.linalg.qr(directions - leading @ (leading.T @ directions))
        directions = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    u[:, first:], s[first:] = directions, values
    v[:, first:] = v[:, first:] @ rotation.T
