"""Recompute layers' activations in the backward pass instead of keeping them for it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

SHARE = 0.125
"""The part of a device's memory that linear layers' activations may fill: what else is kept (norms,
attention) is about as much again, and weights and factors want the rest. Recomputing costs one more forward
pass."""


def recomputation_pays(
    layers: Iterable[nn.Module], tokens: int, device: torch.device, memory: float | None = None
) -> bool:
    """Whether the activations of so many tokens are too large to be kept on `device`.

    Counted as what goes in and out of every linear layer, in the weights' dtype. `memory`: of the device, in
    bytes, where it is another machine's.
    """
    linear = [part for layer in layers for part in layer.modules() if isinstance(part, nn.Linear)]
    size = sum((part.in_features + part.out_features) * part.weight.element_size() for part in linear)
    return tokens * size > SHARE * (memory or _memory(device))


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def recompute(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Keep only each layer's inputs inside the block. Backward passes must run inside, too.

    Gradients are the same bits where the layers are deterministic.
    """
    layers = list(layers)
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        # Nothing in a frozen layer is random, so there is no random state to put back.
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward
