"""Decompose a task vector into singular directions, and sum them gated, exactly through the tail.

FRISM (arXiv 2601.21187), section on subspace decomposition: U, S, V^T = SVD(tau_R), untruncated. Where only
the k leading directions are kept, what they leave over, tau_R - U_k S_k V_k^T, is one more subspace: the
tail.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from frism.spectra.settings import SpectrumSettings
from frism.spectra.solvers import solve

ROWS = 2048  # rows of a matrix in hand


@dataclass(frozen=True)
class Spectrum:
    """Hold singular directions of a (d_out, d_in) matrix.

    Attributes:
        u: (d_out, k), fp32 or bf16. s: (k,) falling, fp32. vh: (k, d_in), as u.
        tail: squared Frobenius norm of what the directions leave over, fp32 scalar; None where
            k = min(d_out, d_in), when nothing is left over.
    """

    u: Tensor
    s: Tensor
    vh: Tensor
    tail: Tensor | None = None

    def gate(self, openness: Tensor, tail: Tensor | None = None, task_vector: Tensor | None = None) -> Tensor:
        """Return sum_k openness_k s_k u_k v_k^T + tail * (tau - U S V^T), (d_out, d_in), in the dtype of s.

        Args:
            openness: (k,). tail: scalar, needed where the spectrum has a tail.
            task_vector: tau itself, (d_out, d_in), needed where the spectrum has a tail.
        """
        if self.tail is None:
            return (self.u.to(self.s.dtype) * (openness * self.s)) @ self.vh.to(self.s.dtype)
        if tail is None or task_vector is None:
            raise ValueError("a truncated spectrum needs its tail's gate and the task vector")
        inner = (self.u.to(self.s.dtype) * ((openness - tail) * self.s)) @ self.vh.to(self.s.dtype)
        return inner.add_(tail * task_vector)

    def energy(self, openness: Tensor, tail: Tensor | None = None) -> Tensor:
        """Return the squared Frobenius norm of `gate(openness, tail)`, from the parts alone (a scalar)."""
        energy = (openness * self.s).square().sum()
        if self.tail is None:
            return energy
        if tail is None:
            raise ValueError("a truncated spectrum needs its tail's gate")
        return energy + tail.square() * self.tail

    @property
    def total(self) -> Tensor:
        """Return the squared Frobenius norm of the whole task vector (a scalar)."""
        energy = self.s.square().sum()
        return energy if self.tail is None else energy + self.tail


def decompose(task_vector: Tensor, settings: SpectrumSettings | None = None, seed: int = 0) -> Spectrum:
    """Return the SVD of one matrix of the task vector, (d_out, d_in), computed in fp32 on its device.

    The signs of the directions are arbitrary; nothing built on the pairs (u_k, v_k) depends on them.

    Args:
        settings: rank, solver, dtype of U and V (default: all directions in fp32).
        seed: of the randomised solver.

    Raises UserError for a solver that does not run on the device.
    """
    settings = settings or SpectrumSettings()
    tau, rank = task_vector.float(), settings.count_directions(tuple(task_vector.shape))
    u, s, vh = solve(tau, rank, settings.solver, seed)
    dtype = getattr(torch, settings.dtype)
    u, vh = u.to(dtype), vh.to(dtype)
    tail = remainder(tau, u, s, vh)[0].float() if rank < min(tau.shape) else None
    return Spectrum(u, s, vh, tail)


def remainder(task_vector: Tensor, u: Tensor, s: Tensor, vh: Tensor) -> tuple[Tensor, Tensor]:
    """Return, of tau - U S V^T, the squared Frobenius norm, and u_k^T (...) v_k by direction (k,); fp64."""
    norm = torch.zeros((), dtype=torch.float64, device=s.device)
    along = torch.zeros(s.shape, dtype=torch.float64, device=s.device)
    right = vh.to(s.dtype)
    for first in range(0, task_vector.shape[0], ROWS):
        left = u[first : first + ROWS].to(s.dtype)
        rest = task_vector[first : first + ROWS] - (left * s) @ right
        norm += torch.linalg.vector_norm(rest, dtype=torch.float64).square()
        along += (left * (rest @ right.T)).sum(0, dtype=torch.float64)
    return norm, along
