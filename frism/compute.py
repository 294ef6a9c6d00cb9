"""Choose where and in which precision a model runs while something is fitted on it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Compute:
    """Device and precision of a loaded model.

    Attributes:
        device: "cpu", "cuda", "cuda:1", ...; "auto": cuda where there is one.
        dtype: of the model's weights; gates and losses are fp32 (float64 where the weights are).
        device_map: "auto" spreads a model over several GPUs; `device` is then not used.
        factors: where U and V lie: on the model's device ("resident"), or in page-locked memory, streamed
            layer by layer ("streamed"); "auto": resident where they fit.
    """

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    device_map: str | dict[str, int | str] | None = None
    factors: Literal["auto", "resident", "streamed"] = "auto"

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The weights' dtype."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def torch_device(self) -> "torch.device":
        """The device, "auto" resolved."""
        import torch

        available = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(available if self.device == "auto" else self.device)
