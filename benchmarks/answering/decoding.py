"""Decode a batch with any model of transformers, greedily or by samples, following the model's own rules.

Greedily it is token for token what `generate` gives, but finished rows leave the batch, and appending to the
cache copies nothing.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.answering.partner import Partner
from benchmarks.answering.reader import Reader
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
    partner: Partner | None = None,
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
        partner: another model, with whose predictions the model's are mixed.
    """
    groups = [inputs] if isinstance(inputs, Mapping) else inputs
    room = max(max_new_tokens)
    reader = Reader(model, groups, room)
    other = partner.read(groups, room) if partner is not None else None
    readers = [reader] if other is None else [reader, other]
    device = reader.logits.device
    stop = torch.tensor(sorted(ends), dtype=torch.long, device=device)
    rows = list(range(len(max_new_tokens)))  # which rows are still in the batch
    answers: list[list[int]] = [[] for _ in rows]
    done = torch.zeros(len(rows), dtype=torch.bool, device=device)
    put: dict[int, deque[int]] = {}  # by row, tokens to come that are not the model's
    if prompts is not None:
        for one in readers:
            one.select(torch.tensor(prompts, dtype=torch.long, device=one.logits.device))
    for step in range(1, room + 1):
        logits = reader.logits
        if partner is not None and other is not None:
            logits = partner.mix(logits, other.logits)
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
        if running <= KEEP * len(done):
            unfinished = (~done).nonzero().squeeze(-1)
            for one in readers:
                one.select(unfinished.to(one.logits.device))
            tokens, done = tokens[unfinished], done[unfinished]
            rows = [rows[i] for i in unfinished.tolist()]
        for one in readers:
            one.go_on(tokens.to(one.logits.device))
    return answers
