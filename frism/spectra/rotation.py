"""Replace singular directions by random orthogonal ones: the same task vector, cut another way.

With tau = U S V^T and a random orthogonal Q (k, k), the input directions w_j = V q_j give the rank-one
parts B_j = (tau w_j) w_j^T = (U S V^T V q_j) (V q_j)^T. They sum to U S V^T, because Q Q^T = I; they are
orthogonal in the Frobenius product, because the w_j are; and ||B_j|| = ||S q_j||. So everything that holds
of gated singular directions (exact sum, energy from the parts' norms, a tail left alone) holds of them too,
except that their output directions tau w_j are not orthogonal and their norms are nearly equal: what is
special about singular directions is gone.
"""

import torch
from torch import Tensor

from frism.seeds import make_generator
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum


def draw_orthogonal(size: int, generator: torch.Generator, device: "str | torch.device" = "cpu") -> Tensor:
    """Draw an orthogonal (size, size) fp32 matrix, uniform (Haar); `generator` is a CPU one.

    The draw is the same on every device; its QR decomposition agrees to rounding, as signs are fixed.
    """
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator).to(device))
    signs: Tensor = r.diagonal().sign()
    return torch.mul(q, signs)


def rotate(spectrum: Spectrum, generator: torch.Generator) -> Spectrum:
    """Return the task vector's random directions: unit tau w_j as u, norms ||S q_j|| as s, w_j as vh.

    Same shapes, dtypes, device and tail as `spectrum`; norms do not fall, and one of zero has a u of zeros.
    """
    dtype = spectrum.s.dtype
    q = draw_orthogonal(len(spectrum.s), generator, spectrum.s.device).to(dtype)
    scaled = spectrum.s[:, None] * q
    norms = scaled.norm(dim=0)
    # Below the smallest normal number a quotient says nothing.
    directions = scaled / norms.clamp(min=torch.finfo(dtype).tiny)
    u, vh = spectrum.u.to(dtype) @ directions, q.mT @ spectrum.vh.to(dtype)
    return Spectrum(u.to(spectrum.u.dtype), norms, vh.to(spectrum.vh.dtype), spectrum.tail)


class RotatedSpectra(Spectra):
    """Serve a triple's spectra with random directions, drawn from (seed, tensor name) as `merge` does.

    Attributes:
        norms: of the directions of every matrix that was asked for so far, by name, on the CPU.
    """

    def __init__(self, spectra: Spectra, seed: int) -> None:
        super().__init__(spectra.triple, spectra.settings, spectra.folder)
        self._spectra, self._seed = spectra, seed
        self.norms: dict[str, Tensor] = {}

    def load(self, name: str, device: "str | torch.device" = "cpu") -> Spectrum:
        """Return the random directions of one matrix, by its canonical tensor name."""
        spectrum = rotate(self._spectra.load(name, device), make_generator(self._seed, name))
        self.norms[name] = spectrum.s.cpu()
        return spectrum
