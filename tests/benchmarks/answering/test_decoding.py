"""Batched decoding against `generate`, where rows end and leave the batch at different lengths."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.answering.decoding import decode
from benchmarks.answering.prefill import can_join
from frism.distillation.collation import collate
from tests.support import tiny_vlms

QUESTIONS = ["What is it?", "Which of these many things is on the left of the other one?", "How many?"]


def _inputs(processor, place: int) -> dict[str, torch.Tensor]:
    # The same noise in every run, which Pillow's own is not.
    noise = np.random.default_rng(place).integers(0, 256, (60, 40 + 30 * place, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    content = [{"type": "image"}, {"type": "text", "text": QUESTIONS[place]}]
    if processor.chat_template:
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    else:
        text = QUESTIONS[place]
    return dict(processor(text=text, images=[picture], return_tensors="pt"))


@pytest.mark.parametrize("kind", tiny_vlms.FAMILIES)
def test_tokens_are_those_of_generate(kind: str) -> None:
    model, processor = tiny_vlms.make(kind)
    rows = [_inputs(processor, place) for place in range(len(QUESTIONS))]
    free = [_generated(model, row, 10, []) for row in rows]
    # A random model hardly ever ends; some tokens that it says do for ends, the first that tell rows apart.
    room = [10, 10, 4]
    ends = next(
        ends
        for ends in (frozenset([free[0][i], free[1][j]]) for i in range(2, 9) for j in range(6, 1, -1))
        if len({next((n for n, token in enumerate(row) if token in ends), 10) for row in free[:2]}) == 2
        or ends.isdisjoint(free[0][:4])
    )
    expected = [_generated(model, row, n, sorted(ends)) for row, n in zip(rows, room, strict=True)]
    assert len({len(row) for row in expected}) > 1
    pad = processor.tokenizer.pad_token_id
    assert decode(model, collate(rows, pad), max_new_tokens=room, ends=ends) == expected
    if can_join(model):
        groups = [collate(rows[:1], pad), collate(rows[1:], pad)]
        assert decode(model, groups, max_new_tokens=room, ends=ends) == expected


@torch.inference_mode()
def _generated(model, row: dict[str, torch.Tensor], room: int, ends: list[int]) -> list[int]:
    limits = {"max_new_tokens": room, "do_sample": False, "eos_token_id": ends or None}
    return model.generate(**row, **limits)[0, row["input_ids"].shape[1] :].tolist()
