"""Serve tau_R by rows, for the tails: read from the checkpoints each time, or kept on a GPU with room."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from frism.gates.interception import find_device
from frism.gates.placement import SHARE, read_free_memory
from frism.spectra.spectra import Spectra

ENTRIES = 1 << 21  # in memory at a time: what caches hold


class Rows(Protocol):
    """Give a matrix (d_out, d_in) by rows, as a tensor does."""

    def __getitem__(self, rows: slice, /) -> Tensor: ...


def slice_rows(d_out: int, d_in: int) -> Iterator[slice]:
    """Return slices of a matrix's rows, about ENTRIES values each."""
    step = max(1, ENTRIES // d_in)
    return (slice(first, min(first + step, d_out)) for first in range(0, d_out, step))


@dataclass(frozen=True)
class _RowsInFiles:
    """Read rows from the checkpoints' files each time. They are finite: the matrix has a spectrum."""

    spectra: Spectra
    name: str
    device: torch.device

    def __getitem__(self, rows: slice) -> Tensor:
        return self.spectra.task_vector(self.name, self.device, rows)


@dataclass(frozen=True)
class _RowsOnDevice:
    """Keep the values of R and B as stored, on a device: tau itself would take twice their room in fp32."""

    lrm: Tensor
    base: Tensor

    def __getitem__(self, rows: slice) -> Tensor:
        return self.lrm[rows].float() - self.base[rows].float()


class TaskVectors:
    """Serve tau_R of each matrix (d_out, d_in), fp32, by rows.

    Args:
        modules: the layers that it is injected into, by canonical tensor name. R and B stay on a GPU
            where, at the first call, they need at most SHARE of its free memory.
        room: bytes that are free on a device; None: keep nothing there.
    """

    def __init__(
        self,
        spectra: Spectra,
        modules: Mapping[str, nn.Linear],
        room: Callable[[torch.device], int | None] = lambda device: (
            read_free_memory(device) if device.type == "cuda" else None
        ),
    ) -> None:
        self._spectra, self._room = spectra, room
        self._devices = {name: find_device(module) for name, module in modules.items()}
        self._fits: dict[torch.device, bool] = {}
        self._resident: dict[str, _RowsOnDevice] = {}

    def __call__(self, name: str) -> Rows:
        """Return one matrix. Raises UserError, here or on access to rows, for values that cannot be read."""
        device = self._devices[name]
        if device not in self._fits:
            room = self._room(device)
            self._fits[device] = room is not None and self._bytes(device) <= SHARE * room
        if not self._fits[device]:
            return _RowsInFiles(self._spectra, name, device)
        if name not in self._resident:
            self._resident[name] = _RowsOnDevice(self._stored("lrm", name), self._stored("base", name))
        return self._resident[name]

    def _stored(self, role: str, name: str) -> Tensor:
        return self._spectra.triple.read(role, name, self._devices[name], stored=True)

    def _bytes(self, device: torch.device) -> int:
        names = [name for name, other in self._devices.items() if other == device]
        header = self._spectra.triple.header
        return sum(header(role, name).bytes for role in ("lrm", "base") for name in names)
