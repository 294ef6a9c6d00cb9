"""Read prompts with one model and go on token by token, following the model's own rules.

How positions are counted and masks extended is asked of the model, so families that do it in their own way
(cross-attention, two-part masks, three-part positions) need no case here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.answering.prefill import prefill


class Reader:
    """Holds prompts, the answers so far and the model's cache.

    Args:
        model: a causal language model or a VLM of transformers.
        groups: what its forward pass takes for the prompts, see `prefill`.
        room: how many tokens may follow.

    Attributes:
        logits: of the next token, (rows, vocabulary), fp32.
    """

    def __init__(self, model: Any, groups: Sequence[Mapping[str, Any]], room: int) -> None:
        read = prefill(model, groups, room)
        self.model, self._ids, self._state = model, read.ids, read.state
        self.logits = read.logits.float()

    def select(self, rows: Tensor) -> None:
        """Go on with these rows alone; one may be named several times."""
        self._state["past_key_values"].batch_select_indices(rows)
        self._state = {name: _select(name, value, rows) for name, value in self._state.items()}
        self._ids, self.logits = self._ids[rows], self.logits[rows]

    def go_on(self, tokens: Tensor) -> None:
        """Add a token to every row, (rows,)."""
        self._ids = torch.cat([self._ids, tokens[:, None]], dim=1)
        inputs = self.model.prepare_inputs_for_generation(
            self._ids, next_sequence_length=1, is_first_iteration=False, **self._state
        )
        outputs = self.model(**inputs, return_dict=True)
        self._state = self.model._update_model_kwargs_for_generation(
            outputs, self._state, is_encoder_decoder=False
        )
        self.logits = outputs.logits[:, -1].float()


def _select(name: str, value: Any, rows: Tensor) -> Any:
    """Select rows of an input; positions have theirs in the last but one dimension, others in the first."""
    if not isinstance(value, Tensor):
        return value
    return value[..., rows, :] if name == "position_ids" else value[rows]
