"""The spectrum of a task vector: its singular directions and their gated sum, exact through the tail.

FRISM (arXiv 2601.21187), section on subspace decomposition: U, S, V^T = SVD(tau_R), untruncated. Where only
the k leading directions are kept, what they leave over, tau_R - U_k S_k V_k^T, is one more subspace: the
tail.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spectrum:
    """Singular directions of a (d_out, d_in) matrix.

    Attributes:
        u: (d_out, k), fp32 or bf16. s: (k,) falling, fp32. vh: (k, d_in), as u.
        tail: squared Frobenius norm of what the directions leave over, fp32 scalar; None where
            k = min(d_out, d_in), when nothing is left over.
    """

    u: Tensor
    s: Tensor
    vh: Tensor
    tail: Tensor | None = None

    def gated(self, opened: Tensor, tail: Tensor | None = None, task_vector: Tensor | None = None) -> Tensor:
        """sum_k opened_k s_k u_k v_k^T + tail * (tau - U S V^T), shape (d_out, d_in), in the dtype of s.

        Args:
            opened: (k,). tail: scalar, needed where the spectrum has a tail.
            task_vector: tau itself, (d_out, d_in), needed where the spectrum has a tail.
        """
        if self.tail is None:
            return (self.u.to(self.s.dtype) * (opened * self.s)) @ self.vh.to(self.s.dtype)
        if tail is None or task_vector is None:
            raise ValueError("a truncated spectrum needs its tail's gate and the task vector")
        inner = (self.u.to(self.s.dtype) * ((opened - tail) * self.s)) @ self.vh.to(self.s.dtype)
        return inner.add_(tail * task_vector)

    def energy(self, opened: Tensor, tail: Tensor | None = None) -> Tensor:
        """Squared Frobenius norm of `gated(opened, tail)`, from the norms of the parts alone (a scalar)."""
        energy = (opened * self.s).square().sum()
        if self.tail is None:
            return energy
        if tail is None:
            raise ValueError("a truncated spectrum needs its tail's gate")
        return energy + tail.square() * self.tail

    @property
    def total(self) -> Tensor:
        """Squared Frobenius norm of the whole task vector (a scalar)."""
        energy = self.s.square().sum()
        return energy if self.tail is None else energy + self.tail


def decompose(task_vector: Tensor) -> Spectrum:
    """SVD in fp32 of one matrix of the task vector, shape (d_out, d_in), all directions.

    The signs of the directions are arbitrary; nothing built on the pairs (u_k, v_k) depends on them.
    """
    u, s, vh = torch.linalg.svd(task_vector.float(), full_matrices=False)
    return Spectrum(u, s, vh)
