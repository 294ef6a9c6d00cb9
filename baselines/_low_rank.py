"""Compute a randomised low-rank SVD as `torch.svd_lowrank` does, with the caller's generator."""

import torch
from torch import Tensor

POWER_STEPS = 2


def low_rank_svd(matrix: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (d_out, rank), S (rank,) falling, V^T (rank, d_in) of a (d_out, d_in) matrix.

    Halko, Martinsson and Tropp, algorithm 5.1 with two power steps. `torch.svd_lowrank` draws from the global
    generator of the matrix's device; this draws on the CPU, so that a seed means the same everywhere.
    """
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    noise = torch.randn(tall.shape[1], rank, generator=generator, dtype=matrix.dtype).to(matrix.device)
    basis = torch.linalg.qr(tall @ noise).Q
    for _ in range(POWER_STEPS):
        basis = torch.linalg.qr(tall.mT @ basis).Q
        basis = torch.linalg.qr(tall @ basis).Q
    inner, s, vh = torch.linalg.svd(basis.mT @ tall, full_matrices=False)
    u = basis @ inner
    return (u, s, vh) if tall is matrix else (vh.mT, s, u.mT)
