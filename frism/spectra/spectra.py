"""Where methods get spectra from: a folder that keeps them, or the decomposition done on the spot."""

from pathlib import Path

import torch

from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum, decompose
from frism.triples.triple import Triple


class Spectra:
    """The spectra of tau_R = R - B of one triple.

    Args:
        settings: rank, solver, precision.
        folder: keeps them; None computes each anew.
    """

    def __init__(
        self, triple: Triple, settings: SpectrumSettings | None = None, folder: Path | None = None
    ) -> None:
        self.triple, self.settings, self.folder = triple, settings or SpectrumSettings(), folder

    def of(self, name: str, device: "str | torch.device" = "cpu") -> Spectrum:
        """The spectrum of one matrix, by its canonical tensor name, on a device."""
        tau = self.triple.read("lrm", name).float() - self.triple.read("base", name).float()
        return decompose(tau.to(device))
