"""The spectrum of a task vector: singular value decomposition of one matrix, and its gated sum.

FRISM (arXiv 2601.21187), section on subspace decomposition: U, S, V^T = SVD(tau_R), untruncated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spectrum:
    """Economy SVD of a (d_out, d_in) matrix: `u` (d_out, r), `s` (r,) falling, `vh` (r, d_in), fp32.

    r = min(d_out, d_in): all singular directions, so the sum over them is the matrix itself.
    """

    u: Tensor
    s: Tensor
    vh: Tensor

    def gated(self, coefficients: Tensor) -> Tensor:
        """sum_k coefficients_k * s_k * u_k v_k^T, shape (d_out, d_in); `coefficients` has shape (r,)."""
        return (self.u * (coefficients * self.s)) @ self.vh

    def energy(self, coefficients: Tensor) -> Tensor:
        """Squared Frobenius norm of `gated(coefficients)`, from the singular values alone (a scalar)."""
        return (coefficients * self.s).square().sum()


def decompose(task_vector: Tensor) -> Spectrum:
    """SVD in fp32 of one matrix of the task vector, shape (d_out, d_in).

    The signs of the directions are arbitrary; nothing built on the pairs (u_k, v_k) depends on them.
    """
    u, s, vh = torch.linalg.svd(task_vector.float(), full_matrices=False)
    return Spectrum(u, s, vh)
