"""Keep keys and values of the tokens so far in buffers that hold the whole answer from the start."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def make_cache(model: Any, max_new_tokens: int) -> DynamicCache:
    """Make an empty cache for a model of transformers, with room for so many tokens after the prompt."""
    cache = DynamicCache(config=model.config.get_text_config())
    # Sliding-window layers, should a model have any, stay as they are.
    cache.layers = [
        PreallocatedLayer(max_new_tokens) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


class PreallocatedLayer(DynamicLayer):
    """Holds keys and values of one layer with room for the tokens to come: appending copies nothing else.

    The layer of transformers concatenates, which is half of a small model's time per token.

    Args:
        max_new_tokens: how many tokens may follow the first ones.
    """

    def __init__(self, max_new_tokens: int) -> None:
        super().__init__()
        self.max_new_tokens = max_new_tokens

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append states of shape (batch, heads, new, head_dim); return all so far, as views."""
        new = key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers = [_extend(states, self.max_new_tokens) for states in (key_states, value_states)]
            length = new
        else:
            start = self.get_seq_length()
            length = start + new
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[..., start:length, :] = states
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)
        return self.keys, self.values

    def join(self, layers: Sequence["PreallocatedLayer"]) -> None:
        """Take over the rows of other layers, below each other; they are emptied, and the shorter padded."""
        length = max(layer.get_seq_length() for layer in layers)
        self.lazy_initialization(layers[0].keys, layers[0].values)
        self._buffers = []
        for name in ("keys", "values"):
            states = [getattr(layer, name) for layer in layers]
            batch, (_, heads, _, width) = sum(len(part) for part in states), states[0].shape
            buffer = states[0].new_empty(batch, heads, length + self.max_new_tokens, width)
            start = 0
            for part in states:
                rows, padded = buffer[start : start + len(part)], length - part.shape[-2]
                rows[:, :, :padded] = 0  # masked, but what is no number would still be none
                rows[:, :, padded:length] = part
                start += len(part)
            self._buffers.append(buffer)
        for layer in layers:
            layer.empty()
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)

    def empty(self) -> None:
        """Let go of all states."""
        none = self.keys.new_empty(0)
        self._buffers, self.keys, self.values = [], none, none

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only some rows of the batch."""
        if not self.is_initialized:  # a layer that only pictures reach, asked without one
            return
        length = self.get_seq_length()
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)


def _extend(states: Tensor, tokens: int) -> Tensor:
    batch, heads, length, width = states.shape
    buffer = states.new_empty(batch, heads, length + tokens, width)
    buffer[..., :length, :] = states
    return buffer
