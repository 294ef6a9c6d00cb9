"""One question's inputs: the model's own chat template, one start token, an RGB picture, no labels."""

import numpy as np
import pytest
import torch
from PIL import Image

from frism.distillation.prompts import prepare_question, prepare_questions
from tests.support import tiny_vlms

PICTURE = Image.fromarray(np.full((56, 56, 3), 90, dtype=np.uint8))


@pytest.mark.parametrize("family", tiny_vlms.FAMILIES)
def test_every_family_gets_its_prompt(family: str) -> None:
    _, processor = tiny_vlms.make(family)
    row = prepare_question(processor, PICTURE, "what is it ?")
    assert row["input_ids"].shape == row["attention_mask"].shape
    assert len(row["input_ids"]) == 1
    assert "labels" not in row
    assert "what is it ?" in processor.tokenizer.decode(row["input_ids"][0])


def test_the_start_token_is_written_once() -> None:
    _, processor = tiny_vlms.make("gemma3")
    start = processor.tokenizer.bos_token_id
    ids = prepare_question(processor, PICTURE, "what is it ?")["input_ids"][0]
    assert ids[0] == start
    assert (ids == start).sum() == 1


def test_pictures_of_any_mode_are_rgb() -> None:
    _, processor = tiny_vlms.make("qwen2_5_vl")
    found = prepare_questions(
        processor, [(PICTURE.convert(mode), "a") for mode in ("RGB", "RGBA", "L")], range(3)
    )
    assert all(torch.equal(row["pixel_values"], found[0]["pixel_values"]) for row in found[1:])
