"""Work on singular directions: put them together, make them orthogonal."""

import torch
from torch import Tensor

from frism.method import Site
from frism.spectra.spectrum import Spectrum

Factors = tuple[Tensor, Tensor, Tensor]  # u (d_out, k), s (k,), vh (k, d_in), fp32


def decompose_both(site: Site) -> tuple[Spectrum, Spectrum] | None:
    """Return the kept singular directions of tau_V and tau_R; None for biases and norms."""
    of_vlm, of_lrm = site.spectrum_v, site.spectrum
    return None if of_vlm is None or of_lrm is None else (of_vlm, of_lrm)


def leading(spectrum: Spectrum, count: int) -> Factors:
    """Return the leading `count` directions of a matrix, or all that are kept."""
    return spectrum.u[:, :count].float(), spectrum.s[:count], spectrum.vh[:count].float()


def compose(u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    """Return U diag(s) V^T."""
    return (u * s) @ vh


def orthogonalise(columns: Tensor) -> Tensor:
    """Return the matrix of orthonormal columns nearest to `columns` (n, k), in the Frobenius norm.

    Their polar factor U V^T (U S V^T the SVD), the solution of the orthogonal Procrustes problem, from the
    eigenvectors of the small Gram matrix in float64. Where columns are linearly dependent the factor is not
    unique; the directions that they lack are left out, as zero rows and columns would be.
    """
    if not columns.numel():
        return columns
    gram = columns.double().mT @ columns.double()
    values, vectors = torch.linalg.eigh(gram)
    # Not below what the Gram matrix is rounded by itself, which matters where the columns are float64.
    share = max(torch.finfo(columns.dtype).eps ** 2, torch.finfo(gram.dtype).eps)
    kept = values > values.amax().clamp(min=1e-30) * len(values) * share
    scale = torch.where(kept, values.clamp(min=1e-300).rsqrt(), torch.zeros_like(values))
    nearest: Tensor = columns.double() @ ((vectors * scale) @ vectors.mT)
    return nearest.to(columns.dtype)


def stack(parts: list[Factors]) -> Factors:
    """Put the directions of several matrices side by side."""
    u, s, vh = zip(*parts, strict=True)
    return torch.cat(u, dim=1), torch.cat(s), torch.cat(vh)
