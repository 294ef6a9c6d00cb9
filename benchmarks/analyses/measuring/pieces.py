"""Keep the singular directions of many matrices in files, and read back some of them at a time.

In memory those of all matrices of a 7B model would be 33 GB; on the disk they are read block by block.
"""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.analyses.measuring.blocks import cut_evenly
from frism.errors import UserError
from frism.spectra.spectrum import decompose

SPARE = 1 << 30  # bytes that are left free on the disk


class Pieces:
    """Cuts each matrix into `parts` blocks of its own singular directions, the largest first.

    Args:
        folder: holds the directions, 4 (m + n) min(m, n) bytes for an m by n matrix; emptied first.
    """

    def __init__(self, parts: int, folder: Path) -> None:
        self.parts, self.folder = parts, folder
        self._sizes: dict[str, int] = {}  # directions by name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def add(self, name: str, matrix: Tensor) -> None:
        """Decompose a matrix and keep its directions. Raises UserError when the disk is full."""
        size = 4 * sum(matrix.shape) * min(matrix.shape)
        free = shutil.disk_usage(self.folder).free
        if free < size + SPARE:
            raise UserError(
                f"{self.folder} has {free / 1e9:.1f} GB left, and the singular directions of a merge's change"
                " need more: free some space, or leave `unit: spectrum` out."
            )
        spectrum = decompose(matrix)
        # Directions as rows in both, so that a block of them lies together in the file.
        left = (spectrum.u * spectrum.s).T.contiguous().cpu()
        try:
            save_file({"left": left, "right": spectrum.vh.contiguous().cpu()}, self._path(name))
        except SafetensorError as error:
            raise UserError(f"cannot write {self._path(name)} ({error}): free some space.") from error
        self._sizes[name] = len(left)

    def read(self, name: str, part: int, device: torch.device) -> Tensor | None:
        """Return one part of a matrix that was added, fp32; None where it has fewer directions than parts."""
        cut = cut_evenly(self._sizes[name], self.parts)
        if part >= len(cut):
            return None
        with safe_open(self._path(name), framework="pt") as file:
            left, right = (
                file.get_slice(side)[cut[part].start : cut[part].stop].to(device)
                for side in ("left", "right")
            )
        piece: Tensor = left.T @ right
        return piece

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
