"""Greedy decoding of a batch for any VLM of transformers, by the model's own rules for generation.

Token for token what `generate` gives, without its bookkeeping and without carrying finished rows along. How
inputs are prepared, positions counted and masks extended is asked of the model, so families that do it in
their own way (cross-attention, two-part masks, three-part positions) need no case here.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.answering.greedy import KEEP, roomy_cache

# What only the first step reads; later ones find it in the cache.
_PICTURES = ("pixel_values", "pixel_attention_mask", "image_grid_thw", "image_sizes", "aspect_ratio_ids",
             "aspect_ratio_mask", "batch_num_images")  # fmt: skip


@torch.inference_mode()
def decode(
    model: Any, inputs: Mapping[str, Tensor], *, room: Sequence[int], ends: frozenset[int]
) -> list[list[int]]:
    """New tokens of every row, up to and with the first end token, at most `room` of its own.

    Args:
        model: a VLM of transformers. inputs: what its processor gives, left-padded, on the model's device.
        ends: ids of end tokens.
    """
    state: dict[str, Any] = dict(inputs)
    ids = state.pop("input_ids")
    state["past_key_values"] = cache = roomy_cache(model, max(room))
    state["use_cache"] = True
    state["position_ids"] = model._prepare_position_ids_for_generation(ids, {**state, "input_ids": ids})
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        state["logits_to_keep"] = 1  # of a long prompt's logits only the last row counts
    stop = torch.tensor(sorted(ends), dtype=torch.long, device=ids.device)
    rows = list(range(len(ids)))  # which rows are still in the batch
    written: list[list[int]] = [[] for _ in rows]
    done = torch.zeros(len(rows), dtype=torch.bool, device=ids.device)
    following: int | None = None
    for step in range(1, max(room) + 1):
        prepared = model.prepare_inputs_for_generation(
            ids, next_sequence_length=following, is_first_iteration=following is None, **state
        )
        outputs = model(**prepared, return_dict=True)
        tokens = outputs.logits[:, -1].float().argmax(-1)
        for row, token, finished in zip(rows, tokens.tolist(), done.tolist(), strict=True):
            if not finished:
                written[row].append(token)
        done = done | torch.isin(tokens, stop)
        if step in room:
            done = done | torch.tensor([room[row] <= step for row in rows], device=done.device)
        left = int((~done).sum())
        if left == 0:
            break
        state = model._update_model_kwargs_for_generation(outputs, state, is_encoder_decoder=False)
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        if following is None:
            state = {name: value for name, value in state.items() if name not in _PICTURES}
            following = 1
        if left <= KEEP * len(done):
            kept = (~done).nonzero().squeeze(-1)
            cache.batch_select_indices(kept)
            state = {name: _rows(name, value, kept) for name, value in state.items()}
            ids, done, rows = ids[kept], done[kept], [rows[i] for i in kept.tolist()]
    return written


def _rows(name: str, value: Any, kept: Tensor) -> Any:
    """Some rows of an input; positions have theirs in the last but one dimension, all others in the first."""
    if not isinstance(value, Tensor):
        return value
    return value[..., kept, :] if name == "position_ids" else value[kept]
