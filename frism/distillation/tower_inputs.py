"""Record the language tower's inputs once: pictures, positions and masks need not be computed again.

The vision tower, the projector and the embedding are V's in every merge, so all that happens before the first
decoder layer is the same for the teacher and for every student. Recording the tower's own call works for any
architecture, whatever it hands over (visual features by depth, cross-attention states, masks of its own).
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from frism.distillation.receiver import Receiver

TowerCall = dict[str, Any]  # keyword arguments: tensors, and lists, dicts and plain values around them


class _RecordedError(Exception):
    """End a forward pass before the language tower runs."""


@torch.no_grad()
def record(receiver: Receiver, inputs: Mapping[str, Tensor]) -> TowerCall:
    """Return the keyword arguments with which `model(**inputs)` calls its language tower."""
    calls: list[TowerCall] = []

    def stop(module: object, args: tuple[Any, ...], kwargs: TowerCall) -> None:
        calls.append(kwargs)
        raise _RecordedError

    handle = receiver.tower.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        receiver.model(**inputs, use_cache=False)
    except _RecordedError:
        pass
    finally:
        handle.remove()
    return calls[0]


def replay(receiver: Receiver, call: TowerCall) -> Tensor:
    """Return the last hidden states (batch, length, width) of the language tower for a recorded call."""
    hidden: Tensor = receiver.tower(**move_to(call, receiver.device)).last_hidden_state
    return hidden


def move_to(value: Any, device: torch.device) -> Any:
    """Copy nested lists, tuples and dicts with every tensor on a device."""
    if isinstance(value, Tensor):
        # Not on the way back: the CPU would read before the copy is there.
        return value.to(device, non_blocking=device.type == "cuda")
    if isinstance(value, Mapping):
        return {name: move_to(part, device) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(move_to(part, device) for part in value)
    return value


@contextmanager
def cache_picture_features(model: Any) -> Iterator[None]:
    """Let `model` encode repeated pixels once inside the block, in `generate` and in plain calls alike."""
    inner = model.base_model
    # Vision tower and projector in one, except for mllama, which has no such method.
    owner, name = (inner, "get_image_features")
    if not hasattr(inner, name):
        owner, name = inner.vision_model, "forward"
    original: Callable[..., Any] = getattr(owner, name)
    latest: list[tuple[Tensor, Any]] = []

    @functools.wraps(original)  # `generate` reads the signature
    def recall(pixel_values: Tensor, *args: Any, **kwargs: Any) -> Any:
        for pixels, features in latest:
            if pixels.shape == pixel_values.shape and torch.equal(pixels, pixel_values):
                return features
        latest[:] = [(pixel_values, original(pixel_values, *args, **kwargs))]
        return latest[0][1]

    before = vars(owner).get(name)
    setattr(owner, name, recall)
    try:
        yield
    finally:
        delattr(owner, name)
        if before is not None:
            setattr(owner, name, before)
