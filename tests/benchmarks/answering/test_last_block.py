"""The last feed-forward block computes what the next token needs, and the answers are the same."""

from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.answering import prefill
from benchmarks.answering.decoding import decode
from benchmarks.answering.last_block import feed_last_tokens, find_last_block
from tests.benchmarks.answering.test_prefill import ENDS, make, prompts
from tests.support import tiny_vlms

LENGTHS, LIMITS = [3, 9, 4, 12], [8, 12, 12, 12]


def answer(model: Any) -> list[list[int]]:
    return decode(model, prompts(LENGTHS), max_new_tokens=LIMITS, ends=ENDS)


@pytest.mark.parametrize("kind", ["qwen2", "llama", "qwen3", "phi3", "gemma2"])
def test_answers_are_the_same_for_a_token_a_row(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, linear, seen = make(kind), torch.nn.functional.linear, []
    block = find_last_block(model)
    assert block is not None
    (down,) = (part for name, part in block.named_modules() if name.endswith("down_proj"))

    def count(states: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
        if weight is down.weight:
            seen.append(states.shape[:-1].numel())
        return linear(states, weight, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", count)
    answers = answer(model)
    assert seen[0] == len(LENGTHS)
    monkeypatch.setattr(prefill, "find_last_block", lambda model: None)
    seen.clear()
    assert answer(model) == answers
    assert seen[0] == len(LENGTHS) * max(LENGTHS)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "llava", "internvl", "smolvlm", "gemma3"])
def test_it_is_the_language_towers_last(family: str) -> None:
    model, _ = tiny_vlms.make(family)
    (name,) = (name for name, part in model.named_modules() if part is find_last_block(model))
    assert name.endswith(f"layers.{tiny_vlms.LAYERS - 1}.mlp") and "vision" not in name


def test_blocks_that_do_more_or_are_watched_see_all_tokens() -> None:
    assert find_last_block(make("qwen2").double()) is None and find_last_block(make("mamba")) is None
    model = make("qwen2")
    model.get_decoder().layers[-1].mlp.gate_proj = nn.Conv1d(32, 48, 3)
    assert find_last_block(model) is None
    watched = make("qwen2")
    handle = watched.get_decoder().layers[-1].mlp.up_proj.register_forward_hook(lambda *_: None)
    assert find_last_block(watched) is None
    handle.remove()
    assert find_last_block(watched) is watched.get_decoder().layers[-1].mlp


def test_the_block_is_as_before_also_after_an_error_and_where_a_library_replaced_it() -> None:
    block, states = nn.Sequential(nn.Linear(3, 3)), torch.randn(2, 4, 3)
    whole = block(states)
    with pytest.raises(KeyError), feed_last_tokens(block):
        assert torch.equal(block(states)[:, -1:], block[0](states[:, -1:]))
        assert not block(states)[:, :-1].any()
        raise KeyError
    assert "forward" not in vars(block) and torch.equal(block(states), whole)
    block.forward = replaced = lambda states: -states  # type: ignore[method-assign]
    with feed_last_tokens(block):
        assert torch.equal(block(states)[:, -1:], -states[:, -1:])
    assert block.forward is replaced
