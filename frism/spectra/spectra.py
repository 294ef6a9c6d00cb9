"""Serve spectra to methods: from a folder that keeps them, or decomposed on the spot."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from frism.errors import UserError
from frism.spectra.quality import decompose_and_measure
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum, decompose
from frism.spectra.store import Metadata, SpectrumStore
from frism.triples.triple import Triple


class Spectra:
    """Serve the spectra of tau_R = R - B of one triple, one matrix in memory at a time.

    Args:
        settings: rank, solver, precision.
        folder: keeps them (`frism.spectra.store`): what is not there yet is computed and added. None computes
            each anew.
    """

    def __init__(
        self, triple: Triple, settings: SpectrumSettings | None = None, folder: Path | None = None
    ) -> None:
        self.triple, self.settings, self.folder = triple, settings or SpectrumSettings(), folder

    @cached_property
    def store(self) -> SpectrumStore:
        """Return the store under this triple's and these settings' key; hashes B and R first."""
        assert self.folder is not None
        base, lrm = self.triple.digest_roles(("base", "lrm")).values()
        return SpectrumStore(Path(self.folder), base, lrm, self.settings)

    def load(self, name: str, device: "str | torch.device" = "cpu") -> Spectrum:
        """Return the spectrum of one matrix, by its canonical tensor name, on a device.

        Raises UserError for a tensor that is no matrix, a damaged file, or a disk that is full.
        """
        if self.folder is None:
            return decompose(self.task_vector(name, device), self.settings, derive_seed(name))
        self.ensure(name, device)
        spectrum = self.store.read(name, self.shape(name), device)
        assert spectrum is not None
        return spectrum

    def ensure(self, name: str, device: "str | torch.device" = "cpu") -> Metadata:
        """Compute and store one matrix's spectrum unless the folder has it; return its file's metadata.

        Raises UserError as `load`.
        """
        metadata = self.store.read_metadata(name, self.shape(name))
        if metadata is None:
            self.store.write(
                name, *decompose_and_measure(self.task_vector(name, device), self.settings, derive_seed(name))
            )
            metadata = self.store.read_metadata(name, self.shape(name))
        assert metadata is not None
        return metadata

    def task_vector(
        self, name: str, device: "str | torch.device" = "cpu", rows: slice = slice(None)
    ) -> Tensor:
        """Return tau_R of one matrix, (d_out, d_in), or some of its rows, fp32, on a device."""
        tau = self.triple.read("lrm", name, device, rows=rows)
        return tau.sub_(self.triple.read("base", name, device, rows=rows))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return (d_out, d_in) of one matrix. Raises UserError for a tensor that is not a matrix."""
        shape = self.triple.header("lrm", name).shape
        if len(shape) != 2:
            raise UserError(f"{name} has shape {list(shape)}: only matrices have singular directions.")
        return shape


def derive_seed(name: str) -> int:
    """Return the seed of one matrix's random projection: by its name, so that order does not matter."""
    return int.from_bytes(sha256(name.encode()).digest()[:7], "big")
