"""Decode a batch with any model of transformers, greedily or by samples, following the model's own rules.

Greedily it is token for token what `generate` gives, but finished rows leave the batch, and appending to the
cache copies nothing. How positions are counted and masks extended is asked of the model, so families that do
it in their own way (cross-attention, two-part masks, three-part positions) need no case here.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.answering.prefill import prefill
from benchmarks.answering.token_sampler import TokenSampler

# Finished rows are dropped when at most this share is still running: copying the cache costs too.
KEEP = 0.8


@dataclass(frozen=True)
class Interruption:
    """Says what is put into an answer that has `after` tokens: `choose` of these, maybe nothing."""

    after: int
    choose: Callable[[Sequence[int]], Sequence[int]]


@torch.inference_mode()
def decode(
    model: Any,
    inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: Sequence[int],
    ends: frozenset[int],
    prompts: Sequence[int] | None = None,
    sampler: TokenSampler | None = None,
    interruption: Interruption | None = None,
) -> list[list[int]]:
    """Generate every row's new tokens, up to and with the first end token.

    Args:
        model: a causal language model or a VLM of transformers.
        inputs: what its forward pass takes for the prompts, see `prefill`; several groups of prompts are read
            one after the other and answered together.
        max_new_tokens: the most new tokens, for each row.
        ends: ids of end tokens.
        prompts: which prompt each row answers, where several rows answer one: it is read once for all of
            them. None: a row per prompt.
        sampler: draws the rows' tokens; None takes the likeliest.
        interruption: puts tokens into answers at some length; None puts in none.
    """
    groups = [inputs] if isinstance(inputs, Mapping) else inputs
    read = prefill(model, groups, max(max_new_tokens))
    logits, ids, state = read.logits.float(), read.ids, read.state
    cache = state["past_key_values"]
    stop = torch.tensor(sorted(ends), dtype=torch.long, device=ids.device)
    rows = list(range(len(max_new_tokens)))  # which rows are still in the batch
    spread = None if prompts is None else torch.tensor(prompts, dtype=torch.long, device=ids.device)
    answers: list[list[int]] = [[] for _ in rows]
    done = torch.zeros(len(rows), dtype=torch.bool, device=ids.device)
    put: dict[int, deque[int]] = {}  # by row, tokens to come that are not the model's
    if spread is not None:
        cache.batch_select_indices(spread)
        state = {name: _select(name, value, spread) for name, value in state.items()}
        logits, ids = logits[spread], ids[spread]
    for step in range(1, max(max_new_tokens) + 1):
        if step > 1:
            step_inputs = model.prepare_inputs_for_generation(
                ids, next_sequence_length=1, is_first_iteration=False, **state
            )
            outputs = model(**step_inputs, return_dict=True)
            state = model._update_model_kwargs_for_generation(outputs, state, is_encoder_decoder=False)
            logits = outputs.logits[:, -1].float()
        tokens = logits.argmax(-1) if sampler is None else sampler.choose(logits, rows, step - 1)
        given = torch.zeros_like(done)
        for place, row in enumerate(rows if put else ()):
            if put.get(row):
                tokens[place], given[place] = put[row].popleft(), True
        for row, token, finished in zip(rows, tokens.tolist(), done.tolist(), strict=True):
            if not finished:
                answers[row].append(token)
        done = done | (torch.isin(tokens, stop) & ~given)
        if interruption is not None and step == interruption.after:
            for row, finished in zip(rows, done.tolist(), strict=True):
                if not finished:
                    put[row] = deque(interruption.choose(answers[row]))
        if step in max_new_tokens:
            done = done | torch.tensor([max_new_tokens[row] <= step for row in rows], device=done.device)
        running = int((~done).sum())
        if running == 0:
            break
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        if running <= KEEP * len(done):
            unfinished = (~done).nonzero().squeeze(-1)
            cache.batch_select_indices(unfinished)
            state = {name: _select(name, value, unfinished) for name, value in state.items()}
            ids, done = ids[unfinished], done[unfinished]
            rows = [rows[i] for i in unfinished.tolist()]
    return answers


def _select(name: str, value: Any, rows: Tensor) -> Any:
    """Select rows of an input; positions have theirs in the last but one dimension, others in the first."""
    if not isinstance(value, Tensor):
        return value
    return value[..., rows, :] if name == "position_ids" else value[rows]
