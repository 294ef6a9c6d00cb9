"""Embed patches of pictures by one matrix product, where a model slides a kernel over a single position.

Qwen's vision towers hand every patch to a three-dimensional convolution of just its size. Libraries for
convolutions are not made for that: the product of the same numbers takes a tenth of the time on a CPU.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear


def list_patch_embeddings(model: nn.Module) -> list[nn.Conv3d]:
    """List a model's convolutions that see each part of a video once, and all of its channels."""
    return [
        module
        for module in model.modules()
        if type(module) is nn.Conv3d
        and module.kernel_size == module.stride
        and module.padding == (0, 0, 0)
        and module.dilation == (1, 1, 1)
        and module.groups == 1
    ]


@contextmanager
def multiply_patches(convolutions: Sequence[nn.Conv3d]) -> Iterator[None]:
    """Let convolutions compute products within the block, wherever an input has the size of the kernel."""
    for module in convolutions:
        module.forward = partial(_embed, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in convolutions:
            del module.forward


def _embed(module: Any, patches: Tensor) -> Tensor:
    """Return (patches, channels out, 1, 1, 1) of (patches, channels, *kernel); other sizes as ever."""
    if patches.dim() != 5 or tuple(patches.shape[2:]) != module.kernel_size:
        return nn.Conv3d.forward(module, patches)
    return linear(patches.flatten(1), module.weight.flatten(1), module.bias)[..., None, None, None]
