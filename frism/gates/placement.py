"""Place frozen factors: on the device of their matrix, or in page-locked memory, streamed layer by layer.

Learning passes through the layers in order, forwards and then backwards; while one layer computes, the next
one in the present direction is on its way.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from frism.triples.scopes import split_name

PlacementMode = Literal["auto", "resident", "streamed"]
SHARE = 0.5
"""The part of a device's free memory that "auto" gives to factors; the rest is for activations."""


def read_free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; in host memory, the system's file cache counts as free."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if (report := Path("/proc/meminfo")).exists():  # of Linux
        (line,) = (x for x in report.read_text().splitlines() if x.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class HostFactors:
    """Hold factors of one matrix in host memory, with the device and dtype that they are used in."""

    tensors: tuple[Tensor, ...]
    device: torch.device
    dtype: torch.dtype


class FactorStream:
    """Bring host factors to their devices, at most two neighbouring layers at a time.

    On a GPU the copies run beside the computation, on a stream of their own. On the CPU a factor in the
    dtype of use stays where it lies, any other is converted.
    """

    def __init__(self) -> None:
        self.host_factors: dict[str, HostFactors] = {}
        self._layers: list[list[str]] = []
        self._index: dict[str, int] = {}
        self._keys: dict[object, int] = {}
        self._present = 0
        self._step = 1
        self._copies: dict[torch.device, torch.cuda.Stream] = {}
        self._ready: dict[int, dict[str, tuple[Tensor, ...]]] = {}
        self._events: dict[tuple[int, torch.device], torch.cuda.Event] = {}

    def put(self, name: str, factors: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype) -> None:
        """Add a matrix; matrices come in the model's order. A canonical name says which layer it is of."""
        layer = split_name(name)[0]
        key: object = name if layer is None else layer
        if key not in self._keys:
            self._keys[key] = len(self._layers)
            self._layers.append([])
        self._index[name] = self._keys[key]
        self._layers[self._keys[key]].append(name)
        if device.type == "cuda":  # in the dtype that travels, page-locked: a plain copy by the device itself
            factors = tuple(tensor.to("cpu", dtype).contiguous().pin_memory() for tensor in factors)
        self.host_factors[name] = HostFactors(factors, device, dtype)

    def take(self, name: str) -> tuple[Tensor, ...]:
        """Return the factors on their device. Taking one layer's starts the copy of the next layer's."""
        present = self._index[name]
        if present != self._present:
            self._step = 1 if present > self._present else -1
            self._present = present
        following = present + self._step
        if not 0 <= following < len(self._layers):  # the pass turns round
            following = present - self._step
        for layer in [layer for layer in self._ready if layer not in (present, following)]:
            self._forget(layer)
        for layer in (present, following):
            if 0 <= layer < len(self._layers) and layer not in self._ready:
                self._fetch(layer)
        return self._wait_for(present, name)

    @property
    def layers_on_device(self) -> list[int]:
        """Return the numbers of the layers that are on their devices now, in the order they were put."""
        return sorted(self._ready)

    def _fetch(self, layer: int) -> None:
        self._ready[layer] = {}
        for name in self._layers[layer]:
            factors = self.host_factors[name]
            if factors.device.type != "cuda":
                moved = tuple(tensor.to("cpu", factors.dtype) for tensor in factors.tensors)
                self._ready[layer][name] = moved
                continue
            if factors.device not in self._copies:
                self._copies[factors.device] = torch.cuda.Stream(factors.device)
            copies = self._copies[factors.device]
            with torch.cuda.stream(copies):
                self._ready[layer][name] = tuple(
                    tensor.to(factors.device, non_blocking=True) for tensor in factors.tensors
                )
            self._events[layer, factors.device] = copies.record_event()

    def _wait_for(self, layer: int, name: str) -> tuple[Tensor, ...]:
        factors, device = self._ready[layer][name], self.host_factors[name].device
        if device.type == "cuda":
            computing = torch.cuda.current_stream(device)
            computing.wait_event(self._events[layer, device])
            for tensor in factors:
                tensor.record_stream(computing)  # its memory is not given away before the computation is done
        return factors

    def _forget(self, layer: int) -> None:
        del self._ready[layer]
        for key in [key for key in self._events if key[0] == layer]:
            del self._events[key]


class Placement:
    """Place the factors of every matrix, resident or streamed.

    Args:
        how: "resident": all of them on the devices of their matrices; "streamed": none; "auto": resident as
            long as they fill no more than SHARE of what is free on the device, the rest streamed.
        free: bytes that are free on a device.
    """

    def __init__(
        self, how: PlacementMode = "auto", free: Callable[[torch.device], int] = read_free_memory
    ) -> None:
        self.how, self._free = how, free
        self.resident: dict[str, tuple[Tensor, ...]] = {}
        self.stream = FactorStream()
        self._left: dict[torch.device, float] = {}

    def put(self, name: str, factors: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype) -> None:
        """Place the factors of one matrix; `dtype`: that they are used in on the device."""
        if self._fits(factors, device, dtype):
            self.resident[name] = tuple(tensor.to(device, dtype) for tensor in factors)
        else:
            self.stream.put(name, factors, device, dtype)

    def take(self, name: str) -> tuple[Tensor, ...]:
        """Return the factors of one matrix, on its device and in its dtype."""
        return self.resident[name] if name in self.resident else self.stream.take(name)

    def _fits(self, factors: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype) -> bool:
        if self.how != "auto":
            return self.how == "resident"
        left = self._left.setdefault(device, SHARE * self._free(device))
        # In host memory, what has the dtype of use stays where it lies and takes no more.
        new = [t for t in factors if device.type != "cpu" or t.device != device or t.dtype != dtype]
        size = sum(t.numel() for t in new) * dtype.itemsize
        self._left[device] = left - size
        return size <= left
