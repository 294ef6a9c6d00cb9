"""Store named tensors under a key, in memory up to a limit and in files that later processes find."""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from frism.errors import UserError
from frism.files import atomic_write

FILE_LIMIT = 32 * 2**20  # bytes; a larger entry (big pictures, big models) is not kept in a file
MEMORY_LIMIT = 2**30  # bytes of entries kept in memory, the oldest go first
Tensors = dict[str, Tensor]


class TensorStore:
    """Keeps named tensors by key. Several processes may share a folder.

    Args:
        device: where tensors that were read from a file are placed.
        folder: where files are kept; None keeps none.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        self.device, self.folder = device, folder
        self._memory: OrderedDict[str, Tensors] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        """Return whether an entry is there, in memory or in a file."""
        return key in self._memory or bool(self.folder and self._path(self.folder, key).exists())

    def get(self, key: str) -> Tensors | None:
        """Return an entry; None when it is neither in memory nor in a whole file."""
        if key not in self._memory and self.folder:
            try:
                self._remember(key, load_file(self._path(self.folder, key), device=str(self.device)))
            except (OSError, SafetensorError):
                return None  # not there, or cut short by a full disk: it is made again
        return self._memory.get(key)

    def put(self, key: str, tensors: Tensors) -> None:
        """Keep an entry; a folder that cannot be written costs later processes time, nothing else."""
        self._remember(key, tensors)
        if self.folder and _count_bytes(tensors) <= FILE_LIMIT:
            try:
                with atomic_write(self._path(self.folder, key)) as temporary:
                    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
            except UserError:
                pass

    def _remember(self, key: str, tensors: Tensors) -> None:
        self._memory[key] = tensors
        while sum(map(_count_bytes, self._memory.values())) > MEMORY_LIMIT and len(self._memory) > 1:
            self._memory.popitem(last=False)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.safetensors"


def _count_bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
