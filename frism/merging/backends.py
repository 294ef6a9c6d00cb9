"""Convert stored values to fp32 arrays and back: with numpy for plain arithmetic, else with torch.

Importing torch costs more than merging a small model by plain arithmetic (seconds, and hundreds of MB), so
methods that say ARITHMETIC run on numpy arrays. Both backends give the same bits: every operation is one
correctly rounded fp32 operation, every cast rounds to nearest, ties to even.
"""

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from frism.checkpoints.dtypes import FLOATS, NAMES
from frism.checkpoints.reading import Buffer

if TYPE_CHECKING:
    import torch

Array = Any  # numpy.ndarray or torch.Tensor


def _view_bytes(array: Any) -> Buffer:
    """View the memory of a contiguous numpy array as bytes."""
    return memoryview(array.reshape(-1).view(np.uint8))


class Backend(Protocol):
    """Convert a piece of a tensor to an fp32 array, and a result to bytes again."""

    piece: int  # values in a piece, where the method does not care

    def allocate(self, size: int) -> tuple[Buffer, Any]:
        """Allocate `size` bytes to be reused; return them and the backend's own handle of them."""

    def widen(self, handle: Any, dtype: str, shape: tuple[int, ...]) -> Array:
        """Return the first values of a buffer as fp32; may share the buffer's memory."""

    def to_array(self, coefficient: "torch.Tensor") -> Array:
        """Convert a fitted tensor to an array of this backend."""

    def narrow(self, values: Array, dtype: str) -> tuple[Buffer, Array]:
        """Cast fp32 values to `dtype`; return the bytes, and the values that they stand for in fp32."""

    def norm(self, values: Array) -> float:
        """Compute the Frobenius norm; NaN or infinite where a value is."""

    def largest(self, values: Array) -> float:
        """Return the largest magnitude."""

    def count_not_finite(self, values: Array) -> int:
        """Count the values that are NaN or infinite."""


class NumpyBackend:
    """Compute with numpy arrays, for methods that say ARITHMETIC."""

    piece = 1 << 18  # half a dozen fp32 arrays of it fit into the caches

    def allocate(self, size: int) -> tuple[Buffer, np.ndarray]:
        """Allocate `size` bytes."""
        buffer = np.empty(size, np.uint8)
        return _view_bytes(buffer), buffer

    def widen(self, handle: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return fp32 values; those stored as fp32 share the buffer's memory."""
        stored = handle[: math.prod(shape) * FLOATS[dtype]]
        if dtype == "BF16":  # the upper half of an fp32
            bits = stored.view(np.uint16).astype(np.uint32)
            np.left_shift(bits, 16, out=bits)
            return bits.view(np.float32).reshape(shape)
        kind = {"F64": np.float64, "F32": np.float32, "F16": np.float16}[dtype]
        return stored.view(kind).astype(np.float32, copy=False).reshape(shape)

    def to_array(self, coefficient: "torch.Tensor") -> np.ndarray:
        """Return an array that shares the tensor's memory."""
        return coefficient.numpy()

    def narrow(self, values: np.ndarray, dtype: str) -> tuple[Buffer, np.ndarray]:
        """Cast to `dtype`, rounding to nearest, ties to even."""
        values = np.ascontiguousarray(values)
        if dtype == "BF16":
            bits = values.view(np.uint32)
            rounded = np.right_shift(bits, 16)
            np.bitwise_and(rounded, 1, out=rounded)  # ties to even
            np.add(rounded, 0x7FFF, out=rounded)
            np.add(rounded, bits, out=rounded)
            np.right_shift(rounded, 16, out=rounded)
            stored = rounded.astype(np.uint16)
            np.left_shift(rounded, 16, out=rounded)
            return _view_bytes(stored), rounded.view(np.float32)
        kind = {"F64": np.float64, "F32": np.float32, "F16": np.float16}[dtype]
        with np.errstate(over="ignore"):
            result = values.astype(kind, copy=False)
        return _view_bytes(result), result.astype(np.float32, copy=False)

    def norm(self, values: np.ndarray) -> float:
        """Compute the Frobenius norm in fp32, in fp64 where that overflows."""
        flat = values.reshape(-1)
        with np.errstate(over="ignore"):
            square = float(np.dot(flat, flat))
        return math.sqrt(square) if math.isfinite(square) else float(np.linalg.norm(flat.astype(np.float64)))

    def largest(self, values: np.ndarray) -> float:
        """Return the largest magnitude."""
        return max(float(values.max()), -float(values.min())) if values.size else 0.0

    def count_not_finite(self, values: np.ndarray) -> int:
        """Count the values that are NaN or infinite."""
        return int(values.size - np.isfinite(values).sum())


class TorchBackend:
    """Compute with torch tensors on one device, for every method."""

    piece = 1 << 19

    def __init__(self, device: "str | torch.device" = "cpu") -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)
        if self.device.type != "cpu":
            self.piece = 1 << 23
        self._dtypes = {short: getattr(torch, name) for name, short in NAMES.items()}

    def allocate(self, size: int) -> "tuple[Buffer, torch.Tensor]":
        """Allocate `size` bytes, page-locked where they are copied to a GPU."""
        buffer = self.torch.empty(size, dtype=self.torch.uint8, pin_memory=self.device.type == "cuda")
        return _view_bytes(buffer.numpy()), buffer

    def widen(self, handle: "torch.Tensor", dtype: str, shape: tuple[int, ...]) -> "torch.Tensor":
        """Return fp32 values on the device; those stored as fp32 on the CPU share the buffer's memory."""
        stored = handle[: math.prod(shape) * FLOATS[dtype]].view(self._dtypes[dtype]).view(shape)
        return stored.to(self.device).to(self.torch.float32)

    def to_array(self, coefficient: "torch.Tensor") -> "torch.Tensor":
        """Move the tensor to the device."""
        return coefficient.to(self.device)

    def narrow(self, values: "torch.Tensor", dtype: str) -> "tuple[Buffer, torch.Tensor]":
        """Cast to `dtype`; the bytes are on the CPU, the values on the device."""
        result = values.to(self._dtypes[dtype]).contiguous()
        return _view_bytes(result.cpu().view(-1).view(self.torch.uint8).numpy()), result.float()

    def norm(self, values: "torch.Tensor") -> float:
        """Compute the Frobenius norm in fp32, in fp64 where that overflows."""
        norm = float(self.torch.linalg.vector_norm(values))
        return norm if math.isfinite(norm) else float(self.torch.linalg.vector_norm(values.double()))

    def largest(self, values: "torch.Tensor") -> float:
        """Return the largest magnitude."""
        if not values.numel():
            return 0.0
        low, high = self.torch.aminmax(values)
        return max(float(high), -float(low))

    def count_not_finite(self, values: "torch.Tensor") -> int:
        """Count the values that are NaN or infinite."""
        return int(values.numel() - self.torch.isfinite(values).sum())
