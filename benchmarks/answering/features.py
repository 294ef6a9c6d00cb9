"""Hold what the vision tower gives for a batch of pictures, as language towers read it and files store it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Holds projected pictures of a batch, for `mm_encoder_outputs={"image": ...}` of a model's forward pass.

    Attributes:
        pooler_output: all pictures in one tensor, or a list of tensors, which the models concatenate.
        deepstack_features: the same as lists, for each of the language tower's first layers (Qwen3-VL).
    """

    pooler_output: Tensor | list[Tensor]
    deepstack_features: list[list[Tensor]] | None = None


def flatten_outputs(outputs: Sequence[Any]) -> dict[str, Tensor]:
    """Name what language towers read of successive `get_image_features`; hidden states would be far more."""
    pooled = [output.pooler_output for output in outputs]
    if isinstance(pooled[0], Tensor):
        tensors = {"tensor": torch.cat(pooled)}
    else:
        tensors = {"list": torch.cat([picture for pictures in pooled for picture in pictures])}
    layers = [getattr(output, "deepstack_features", None) or [] for output in outputs]
    for number, parts in enumerate(zip(*layers, strict=True)):
        tensors[f"deepstack.{number}"] = torch.cat([picture for part in parts for picture in part])
    return tensors


def restore_features(tensors: dict[str, Tensor]) -> Features:
    """Make what a forward pass takes of what `flatten_outputs` named."""
    deepstack = [[tensors[f"deepstack.{number}"]] for number in range(len(tensors) - 1)]
    return Features([tensors["list"]] if "list" in tensors else tensors["tensor"], deepstack or None)
