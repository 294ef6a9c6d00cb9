"""Measure a decomposition as it is stored: what the factors miss, and how orthogonal they are."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from frism.spectra.costs import choose_solver
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum, decompose, remainder

EXACT = 1024  # smaller side up to which the residual is computed, not estimated
PROBES = 64


@dataclass(frozen=True)
class Quality:
    """Hold measurements of one matrix's decomposition, taken on the factors as stored.

    Attributes:
        residual: relative Frobenius norm of what directions and tail miss. All directions: ||tau - U S V^T||
            / ||tau||, exact where a side has at most 1024 entries, else estimated from 64 Gaussian probes
            (standard error at most 9 %, about 0.1 % for rounding noise). Truncated: the tail misses nothing
            by definition, so this is the part of it that lies along the directions,
            ||diag(U^T tail V)|| / ||tau||.
        orthogonality: the larger of max|U^T U - I| and max|V^T V - I|.
        tail: ||tail|| / ||tau||; 0 where all directions are kept.
        solver: that found the directions. device: where, such as "cpu". seconds: it took.
    """

    residual: float
    orthogonality: float
    tail: float
    solver: str
    device: str
    seconds: float


def decompose_and_measure(
    task_vector: Tensor, settings: SpectrumSettings, seed: int = 0
) -> tuple[Spectrum, Quality]:
    """Decompose one matrix, shape (d_out, d_in), on its device, and measure the result; see `decompose`."""
    device = task_vector.device
    start = _now(device)
    spectrum = decompose(task_vector, settings, seed)
    seconds = _now(device) - start
    total, tail = torch.linalg.vector_norm(task_vector, dtype=torch.float64), spectrum.tail
    share = float(tail.double().sqrt() / total) if tail is not None and total else 0.0
    solver = choose_solver(settings.solver, tuple(task_vector.shape), settings.rank, device.type)
    return spectrum, Quality(
        residual(task_vector, spectrum),
        orthogonality(spectrum),
        share,
        solver,
        device.type,
        seconds,
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def residual(task_vector: Tensor, spectrum: Spectrum) -> float:
    """Return the relative Frobenius norm of what directions and tail miss; see `Quality`."""
    total = torch.linalg.vector_norm(task_vector, dtype=torch.float64)
    u, s, vh = spectrum.u, spectrum.s, spectrum.vh
    if total == 0:
        return 0.0
    if spectrum.tail is not None:
        missed = torch.linalg.vector_norm(remainder(task_vector, u, s, vh)[1])
    elif min(task_vector.shape) <= EXACT:
        missed = remainder(task_vector, u, s, vh)[0].sqrt()
    else:
        generator = torch.Generator().manual_seed(0)
        probes = torch.randn(task_vector.shape[1], PROBES, generator=generator).to(task_vector)
        difference = task_vector @ probes - u.to(s.dtype) @ (s[:, None] * (vh.to(s.dtype) @ probes))
        missed = torch.linalg.vector_norm(difference, dtype=torch.float64) / PROBES**0.5
    return float(missed / total)


def orthogonality(spectrum: Spectrum) -> float:
    """Return the larger of max|U^T U - I| and max|V^T V - I| over the stored directions."""
    return max(
        _measure_departure(spectrum.u, spectrum.s.dtype), _measure_departure(spectrum.vh.T, spectrum.s.dtype)
    )


def _measure_departure(columns: Tensor, dtype: torch.dtype) -> float:
    """Return max|X^T X - I| from half of the products: strips of columns against all from the strip on."""
    count, worst = columns.shape[1], 0.0
    columns, step = columns.to(dtype), max(1, -(-columns.shape[1] // 8))
    for first in range(0, count, step):
        product = columns[:, first : first + step].T @ columns[:, first:]
        product.diagonal().sub_(1)
        worst = max(worst, float(product.abs().max()))
    return worst
