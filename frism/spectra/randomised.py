"""Find the leading singular directions by a random projection with power steps.

Halko, Martinsson and Tropp 2011 (arXiv 0909.4061), algorithms 4.4 and 5.1.
"""

import torch
from torch import Tensor

from frism.spectra.costs import POWER_STEPS, sketch_width


def solve_randomised(matrix: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (m, rank), s (rank,) and V^T (rank, n) of a (m, n) matrix with m >= n, in fp32.

    U S V^T is the matrix projected onto the directions found, so what it leaves over is orthogonal to it; it
    is a little more than the best rank-`rank` approximation would leave. Drawn on the CPU from `seed`, so
    that every device finds the same directions.
    """
    width = sketch_width(rank, matrix.shape[1])
    generator = torch.Generator().manual_seed(seed)
    sketch = matrix @ torch.randn(matrix.shape[1], width, generator=generator).to(matrix)
    basis = torch.linalg.qr(sketch).Q
    for _ in range(POWER_STEPS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    inner, s, vh = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ inner[:, :rank], s[:rank], vh[:rank]
