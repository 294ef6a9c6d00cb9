"""tau_R by rows, for the tails: read from the checkpoints whenever asked for, or kept on a GPU with room."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from frism.gates.interception import find_device
from frism.gates.placement import SHARE, read_free_memory
from frism.spectra.spectra import Spectra

ENTRIES = 1 << 21  # that are in hand at a time: what caches hold


class Rows(Protocol):
    """A matrix (d_out, d_in) that is read by rows; a tensor is one."""

    def __getitem__(self, rows: slice, /) -> Tensor: ...


def slice_rows(d_out: int, d_in: int) -> Iterator[slice]:
    """A matrix's rows, about ENTRIES values at a time."""
    step = max(1, ENTRIES // d_in)
    return (slice(first, min(first + step, d_out)) for first in range(0, d_out, step))


@dataclass(frozen=True)
class _Read:
    """From the checkpoints' files, each time anew. They are finite: the matrix has a spectrum."""

    spectra: Spectra
    name: str
    device: torch.device

    def __getitem__(self, rows: slice) -> Tensor:
        return self.spectra.task_vector(self.name, self.device, rows)


@dataclass(frozen=True)
class _Kept:
    """The values of R and B as stored, on a device: tau itself would take twice their room in fp32."""

    lrm: Tensor
    base: Tensor

    def __getitem__(self, rows: slice) -> Tensor:
        return self.lrm[rows].float() - self.base[rows].float()


class TaskVectors:
    """tau_R of each matrix (d_out, d_in), fp32, by rows.

    Args:
        modules: the layers that it is injected into, by canonical tensor name. Where those on a GPU need no
            more of its free memory for R and B than SHARE, when the first is asked for, both stay there.
        room: bytes that are free on a device; None where nothing is to be kept there.
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
        self._keeps: dict[torch.device, bool] = {}
        self._kept: dict[str, _Kept] = {}

    def __call__(self, name: str) -> Rows:
        """One matrix's. Raises UserError, here or when rows are asked for, for values that cannot be read."""
        device = self._devices[name]
        if device not in self._keeps:
            room = self._room(device)
            self._keeps[device] = room is not None and self._bytes(device) <= SHARE * room
        if not self._keeps[device]:
            return _Read(self._spectra, name, device)
        if name not in self._kept:
            self._kept[name] = _Kept(self._stored("lrm", name), self._stored("base", name))
        return self._kept[name]

    def _stored(self, role: str, name: str) -> Tensor:
        return self._spectra.triple.read(role, name, self._devices[name], stored=True)

    def _bytes(self, device: torch.device) -> int:
        names = [name for name, place in self._devices.items() if place == device]
        header = self._spectra.triple.header
        return sum(header(role, name).bytes for role in ("lrm", "base") for name in names)
