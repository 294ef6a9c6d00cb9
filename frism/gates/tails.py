"""Merge the exact tail of truncated spectra into the weights: W' = W + strength * open * tau in place of W.

With W' in the layer, the branch of the k kept directions carries open_k - open_tail, and every forward and
backward pass costs what it does without a tail. W' is computed from W and tau whenever the tail's gate has
moved, so that it depends on the gate alone and not on how it got there; in a 16-bit model it is rounded, as
the merged model's weights will be. There is one copy of W on the device: V's own bits wait in host memory,
for a layer on the CPU in a temporary file.
"""

import tempfile
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from frism.errors import UserError
from frism.gates.task_vectors import Rows, slice_rows


class MemoryBackup:
    """Keep the bits of a GPU's tensor in host memory."""

    def __init__(self, tensor: Tensor) -> None:
        self._bits = tensor.detach().to("cpu", copy=True)

    def __getitem__(self, rows: slice) -> Tensor:
        return self._bits[rows]


class FileBackup:
    """Keep the bits of a CPU's tensor in a temporary file that has no name."""

    def __init__(self, tensor: Tensor) -> None:
        self._shape, self._dtype = tensor.shape, tensor.dtype
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        try:
            for rows in slice_rows(*tensor.shape):
                self._file.write(tensor.detach()[rows].contiguous().view(torch.uint8).numpy().data)
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()} has no room for the VLM's own weights beside the merged ones "
                f"({error}): free some, or set TMPDIR to a larger disk."
            ) from error

    def __getitem__(self, rows: slice) -> Tensor:
        first, last, _ = rows.indices(self._shape[0])
        width = self._shape[1] * self._dtype.itemsize
        self._file.seek(first * width)
        values = np.fromfile(self._file, np.uint8, (last - first) * width)
        return torch.from_numpy(values).view(self._dtype).view(last - first, self._shape[1])


class TailWeights:
    """Switch layers' weights to W' while gates are applied, and back to W.

    Args:
        modules: by canonical tensor name; their weights are written in place.
        task_vectors: tau_R of a matrix (d_out, d_in), by rows, read when a tail has moved.
        strength: the factor outside the gates.
    """

    def __init__(
        self, modules: Mapping[str, nn.Linear], task_vectors: Callable[[str], Rows], strength: float
    ) -> None:
        for name, module in modules.items():
            if module.weight.device.type == "meta":
                raise UserError(
                    f"the model's {name} is offloaded, but a truncated spectrum writes to it: choose a "
                    "device_map that keeps the whole model on its devices, or the full rank."
                )
        self._modules, self._task_vectors, self._strength = dict(modules), task_vectors, strength
        self._backups: dict[str, FileBackup | MemoryBackup] = {}
        self.merged: dict[str, float] = {}  # the tail's open fraction that a layer's weight contains

    @torch.no_grad()
    def merge(self, name: str, openness: float) -> None:
        """Make the layer's weight W + strength * openness * tau, unless it is that already."""
        if self.merged.get(name) == openness:
            return
        weight = self._modules[name].weight.data
        if name not in self._backups:
            backup = FileBackup if weight.device.type == "cpu" else MemoryBackup
            self._backups[name] = backup(weight)
        self.merged[name] = float("nan")  # neither, should reading or writing fail
        tau = self._task_vectors(name)
        wide = torch.promote_types(weight.dtype, torch.float32)
        for rows in slice_rows(*weight.shape):
            original = self._backups[name][rows].to(weight.device).to(wide)
            change = tau[rows].to(weight.device, wide)
            weight[rows] = original.add(change, alpha=self._strength * openness)
        self.merged[name] = openness

    def restore(self, name: str) -> None:
        """Give the layer V's own bits back."""
        if name in self.merged:
            weight = self._modules[name].weight.data
            for rows in slice_rows(*weight.shape):
                weight[rows] = self._backups[name][rows]
            del self.merged[name]
