"""Read prompts into a cache, some at a time, and join what was read into one batch for later steps.

What a layer computes of a few thousand tokens stays in a processor's own caches, and a step that adds a token
to every answer costs little more for many rows than for few: prompts are best read in small groups, and
answered in large ones.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from benchmarks.answering.key_value_cache import PreallocatedLayer, make_cache
from benchmarks.answering.last_block import feed_last_tokens, find_last_block
from frism.distillation.collation import PER_TOKEN

# Later steps find in the cache what the first one read beside these.
EVERY_STEP = (*PER_TOKEN, "position_ids")
_KEPT = (*EVERY_STEP, "past_key_values", "use_cache", "logits_to_keep")


@dataclass
class Prefilled:
    """Holds prompts that were read.

    Attributes:
        logits: of the next token, (rows, vocabulary).
        ids: tokens of the prompts, (rows, length), left-padded.
        state: what the model takes for the next token, beside it: masks, positions, the cache.
    """

    logits: Tensor
    ids: Tensor
    state: dict[str, Any]


def can_join(model: Any) -> bool:
    """Return whether prompts that were read apart can go on as one batch.

    Each layer must keep keys and values of all tokens and of nothing else: a window, a recurrent state or
    pictures that a layer looks at beside the text have no place for more padding.
    """
    config = model.config.get_text_config()
    plain = all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
    return plain and not getattr(config, "cross_attention_layers", None)


def prefill(model: Any, groups: Sequence[Mapping[str, Any]], room: int) -> Prefilled:
    """Read groups of prompts, one after the other.

    Args:
        model: a causal language model or a VLM of transformers; with several groups, one that `can_join`.
        groups: what its forward pass takes for some prompts, such as `input_ids` (batch, length), left-padded
            and on the model's device; without `position_ids` the model counts them itself.
        room: how many tokens may follow.
    """
    read = [_read(model, group, room) for group in groups]
    return read[0] if len(read) == 1 else _join(model, read, room)


def _read(model: Any, inputs: Mapping[str, Any], room: int) -> Prefilled:
    state = dict(inputs)
    ids: Tensor = state.pop("input_ids")
    if "position_ids" not in state:
        state["position_ids"] = model._prepare_position_ids_for_generation(ids, {**state, "input_ids": ids})
    state["past_key_values"] = make_cache(model, room)
    state["use_cache"] = True
    block = None
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        state["logits_to_keep"] = 1  # of a long prompt's logits only the last row counts
        block = find_last_block(model)
    step = model.prepare_inputs_for_generation(
        ids, next_sequence_length=None, is_first_iteration=True, **state
    )
    with feed_last_tokens(block):
        outputs = model(**step, return_dict=True)
    state = model._update_model_kwargs_for_generation(outputs, state, is_encoder_decoder=False)
    return Prefilled(outputs.logits[:, -1], ids, {name: state[name] for name in state if name in _KEPT})


def _join(model: Any, parts: Sequence[Prefilled], room: int) -> Prefilled:
    """Put prompts below each other, padded on the left to the longest; masks hide what is padded."""
    length = max(part.ids.shape[1] for part in parts)
    state = dict(parts[0].state)
    for name in EVERY_STEP:
        if isinstance(state.get(name), Tensor):
            values = [_pad(part.state[name], length - part.ids.shape[1]) for part in parts]
            state[name] = torch.cat(values, dim=-2 if name == "position_ids" else 0)
    state["past_key_values"] = cache = make_cache(model, room)
    for number, layer in enumerate(cache.layers):
        assert isinstance(layer, PreallocatedLayer), "can_join said so"
        layer.join([part.state["past_key_values"].layers[number] for part in parts])
    ids = torch.cat([_pad(part.ids, length - part.ids.shape[1]) for part in parts])
    return Prefilled(torch.cat([part.logits for part in parts]), ids, state)


def _pad(values: Tensor, missing: int) -> Tensor:
    return pad(values, (missing, 0)) if missing else values
