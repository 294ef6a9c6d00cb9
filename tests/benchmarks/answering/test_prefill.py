"""Prompts read in groups go on as they would in one batch."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.answering.decoding import decode
from benchmarks.answering.prefill import can_join, prefill

WIDTHS: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 0,
    "eos_token_id": 1, "pad_token_id": 2, "head_dim": 8,
}  # fmt: skip
ENDS = frozenset({1, 5, 17})


def make(kind: str, **further: Any) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **WIDTHS, **further)
    return AutoModelForCausalLM.from_config(config).eval()


def prompts(lengths: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    """Left-padded prompts of these lengths."""
    generator, longest = torch.Generator().manual_seed(seed), max(lengths)
    ids = torch.randint(6, 99, (len(lengths), longest), generator=generator)
    mask = torch.tensor([[0] * (longest - n) + [1] * n for n in lengths])
    return {"input_ids": ids.where(mask.bool(), 2), "attention_mask": mask}


def cut(inputs: dict[str, torch.Tensor], lengths: list[int], groups: list[list[int]]) -> list[dict[str, Any]]:
    """The same prompts in groups of rows, each padded to its own longest."""
    return [
        {name: value[rows][:, -max(lengths[row] for row in rows) :] for name, value in inputs.items()}
        for rows in groups
    ]


@pytest.mark.parametrize("kind", ["qwen2", "llama", "qwen3"])
@pytest.mark.parametrize("groups", [[[0], [1, 2], [3, 4, 5, 6]], [[0, 1, 2, 3, 4], [5, 6]], [[6]]])
def test_answers_do_not_depend_on_the_groups(kind: str, groups: list[list[int]]) -> None:
    model, lengths = make(kind), [3, 9, 4, 12, 5, 7, 12]
    assert can_join(model)
    inputs, rows = prompts(lengths), [row for group in groups for row in group]
    limits = [(4, 9, 20, 6, 11, 20, 20)[row] for row in rows]
    whole = {name: value[rows] for name, value in inputs.items()}
    expected = decode(model, whole, max_new_tokens=limits, ends=ENDS)
    assert decode(model, cut(inputs, lengths, groups), max_new_tokens=limits, ends=ENDS) == expected
    assert len({tuple(row) for row in expected}) > len(rows) // 2


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_room_for_tokens_to_come_is_never_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that was used before is no number at worst: torch fills all that is new with NaN here."""
    model, lengths = make(kind), [3, 9, 4, 12, 5]
    inputs, limits = prompts(lengths), [4, 9, 12, 6, 12]
    groups = cut(inputs, lengths, [[0], [1, 2], [3, 4]])
    expected = decode(model, groups, max_new_tokens=limits, ends=ENDS)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        assert decode(model, groups, max_new_tokens=limits, ends=ENDS) == expected
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_joined_cache_holds_what_one_pass_computes() -> None:
    model, lengths = make("qwen2"), [3, 9, 4]
    inputs = prompts(lengths)
    with torch.inference_mode():
        whole = prefill(model, [inputs], 5)
        joined = prefill(model, cut(inputs, lengths, [[0], [1, 2]]), 5)
    torch.testing.assert_close(joined.logits, whole.logits, rtol=1e-5, atol=1e-6)
    assert torch.equal(joined.ids * inputs["attention_mask"], whole.ids * inputs["attention_mask"])
    for name in ("attention_mask", "position_ids"):
        seen = whole.state["attention_mask"].bool()
        assert joined.state[name].shape == whole.state[name].shape
        assert torch.equal(joined.state[name][seen], whole.state[name][seen]), name
    for one, other in zip(joined.state["past_key_values"].layers, whole.state["past_key_values"].layers,
                          strict=True):  # fmt: skip
        visible = inputs["attention_mask"].bool()
        for mine, theirs in ((one.keys, other.keys), (one.values, other.values)):
            assert mine.shape == theirs.shape
            close = [mine.transpose(1, 2)[visible], theirs.transpose(1, 2)[visible]]
            torch.testing.assert_close(*close, rtol=1e-5, atol=1e-6)


def test_prompts_that_were_read_give_their_memory_back() -> None:
    model, lengths = make("qwen2"), [3, 4]
    seen: list[Any] = []
    real = type(model).prepare_inputs_for_generation

    def watch(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["past_key_values"])
        return real(self, *args, **kwargs)

    type(model).prepare_inputs_for_generation = watch
    try:
        with torch.inference_mode():
            prefill(model, cut(prompts(lengths), lengths, [[0], [1]]), 3)
    finally:
        type(model).prepare_inputs_for_generation = real
    assert len(seen) == 2 and not any(layer.keys.numel() for cache in seen for layer in cache.layers)


def test_what_keeps_more_than_the_text_is_not_joined() -> None:
    assert not can_join(make("mistral", sliding_window=4))
    assert not can_join(make("gemma3_text", sliding_window=4))
