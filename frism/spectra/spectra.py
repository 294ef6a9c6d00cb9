"""Serve spectra to methods: from a folder that keeps them, or decomposed on the spot."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from frism.errors import UserError
from frism.spectra.quality import decompose_and_measure
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum, decompose
from frism.spectra.store import Metadata, SpectrumStore
from frism.triples.triple import Triple

TaskVector = Literal["lrm", "vlm", "sum"]  # tau_R = R - B, tau_V = V - B, or tau_V + tau_R


class Spectra:
    """Serve the spectra of tau_R = R - B of one triple, one matrix in memory at a time.

    Args:
        settings: rank, solver, precision.
        folder: keeps them (`frism.spectra.store`): what is not there yet is computed and added. None computes
            each anew.
        of: the task vector that is decomposed.
    """

    def __init__(
        self,
        triple: Triple,
        settings: SpectrumSettings | None = None,
        folder: Path | None = None,
        of: TaskVector = "lrm",
    ) -> None:
        self.triple, self.settings, self.folder = triple, settings or SpectrumSettings(), folder
        self._of = of

    def of(self, task_vector: TaskVector) -> Spectra:
        """Return the spectra of another task vector, kept in the same folder under a key of their own."""
        if task_vector == self._of:
            return self
        return Spectra(self.triple, self.settings, self.folder, task_vector)

    @cached_property
    def store(self) -> SpectrumStore:
        """Return the store under this triple's and these settings' key; hashes the checkpoints first."""
        assert self.folder is not None
        base, *finetuned = self.triple.digest_roles(("base", *self._finetuned)).values()
        return SpectrumStore(Path(self.folder), base, "+".join(finetuned), self.settings)

    @property
    def _finetuned(self) -> tuple[str, ...]:
        return ("vlm", "lrm") if self._of == "sum" else (self._of,)

    def load(self, name: str, device: str | torch.device = "cpu") -> Spectrum:
        """Return the spectrum of one matrix, by its canonical tensor name, on a device.

        Raises UserError for a tensor that is no matrix, a damaged file, or a disk that is full.
        """
        if self.folder is None:
            return decompose(self.task_vector(name, device), self.settings, derive_seed(name))
        self.ensure(name, device)
        spectrum = self.store.read(name, self.shape(name), device)
        assert spectrum is not None
        return spectrum

    def ensure(self, name: str, device: str | torch.device = "cpu") -> Metadata:
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

    def task_vector(self, name: str, device: str | torch.device = "cpu", rows: slice = slice(None)) -> Tensor:
        """Return the task vector of one matrix, (d_out, d_in), or some of its rows, fp32, on a device."""
        base, first, *rest = (
            self.triple.read(r, name, device, rows=rows) for r in ("base", *self._finetuned)
        )
        tau = first.sub_(base)
        return tau.add_(rest[0].sub_(base)) if rest else tau

    def shape(self, name: str) -> tuple[int, ...]:
        """Return (d_out, d_in) of one matrix. Raises UserError for a tensor that is not a matrix."""
        shape = self.triple.header("lrm", name).shape
        if len(shape) != 2:
            raise UserError(f"{name} has shape {list(shape)}: only matrices have singular directions.")
        return shape


def derive_seed(name: str) -> int:
    """Return the seed of one matrix's random projection: by its name, so that order does not matter."""
    return int.from_bytes(sha256(name.encode()).digest()[:7], "big")
