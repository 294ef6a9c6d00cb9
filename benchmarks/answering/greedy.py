"""Greedy decoding of a batch whose finished rows leave it; token for token what `generate` gives.

`generate` carries every row to the end of the longest one, re-encodes the pictures of each call, and
spends as much time on its own bookkeeping as a small model on its arithmetic.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

KEEP = 0.8  # finished rows are dropped when at most this share is still running: copying the cache costs too


@torch.inference_mode()
def greedy(
    model: Any,
    ids: Tensor,
    mask: Tensor,
    *,
    max_new_tokens: int | Sequence[int],
    ends: frozenset[int],
    positions: Tensor | None = None,
    features: Tensor | None = None,
) -> list[list[int]]:
    """New tokens of every row, up to and with the first end token, at most `max_new_tokens`.

    For models whose answers follow from embedded tokens and pictures alone; `benchmarks.answering.decoding`
    is for all others.

    Args:
        model: a causal language model or a VLM of transformers with one at `model.model.language_model`.
        ids: left-padded token ids (batch, length). mask: same shape, 0 for padding.
        max_new_tokens: for all rows, or for each.
        ends: ids of end tokens.
        positions: mRoPE positions (3, batch, length); None counts the tokens that are not padding.
        features: vision tower output (tokens, hidden) for the picture placeholders among `ids`.
    """
    decoder = getattr(model.model, "language_model", model.model)
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    if positions is None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
    embedded = embed(ids)
    if features is not None and features.numel():
        places = (ids == model.config.image_token_id).unsqueeze(-1)
        embedded = embedded.masked_scatter(places, features.to(embedded.dtype))
    limits = [max_new_tokens] * len(ids) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    cache = roomy_cache(model, max(limits))
    stop = torch.tensor(sorted(ends), dtype=torch.long, device=ids.device)
    rows = torch.arange(ids.shape[0], device=ids.device)  # which rows are still in the batch
    done = torch.zeros_like(rows, dtype=torch.bool)
    written: list[list[int]] = [[] for _ in range(ids.shape[0])]
    # The position after the last one, counted over all three axes of mRoPE.
    following = (positions.amax(0) if positions.ndim == 3 else positions).amax(-1) + 1
    for step in range(1, max(limits) + 1):
        hidden = decoder(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        tokens = head(hidden).float().argmax(-1)
        for row, token, finished in zip(rows.tolist(), tokens.tolist(), done.tolist(), strict=True):
            if not finished:
                written[row].append(token)
        done = done | torch.isin(tokens, stop)
        if step in limits:
            done = done | torch.tensor([limits[row] <= step for row in rows.tolist()], device=done.device)
        running = ~done
        left = int(running.sum())
        if left == 0:
            break
        if left <= KEEP * len(done):
            kept = running.nonzero().squeeze(-1)
            cache.batch_select_indices(kept)
            rows, done, tokens, mask, following = (t[kept] for t in (rows, done, tokens, mask, following))
        embedded = embed(tokens[:, None])
        positions = following[:, None].expand(3, -1, -1) if positions.ndim == 3 else following[:, None]
        following = following + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return written


def roomy_cache(model: Any, room: int) -> DynamicCache:
    """An empty cache for a model, with room for `room` tokens after the prompt."""
    cache = DynamicCache(config=model.config.get_text_config())
    # Sliding-window layers, should a model have any, stay as they are.
    cache.layers = [RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer with room for the tokens to come: appending copies nothing else.

    The layer of transformers concatenates, which is half of a small model's time per token.

    Args:
        room: how many tokens may follow the first ones.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append states of shape (batch, heads, new, head_dim); return all so far, as views."""
        new = key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers = [_with_room(states, self.room) for states in (key_states, value_states)]
            length = new
        else:
            start = self.get_seq_length()
            length = start + new
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[..., start:length, :] = states
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only some rows of the batch."""
        if not self.is_initialized:  # a layer that only pictures reach, asked without one
            return
        length = self.get_seq_length()
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)


def _with_room(states: Tensor, room: int) -> Tensor:
    batch, heads, length, width = states.shape
    buffer = states.new_zeros(batch, heads, length + room, width)
    buffer[..., :length, :] = states
    return buffer
