"""Every family's language tower, called again as recorded, gives the bits of the whole model."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from frism.distillation.collation import collate
from frism.distillation.prompts import prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings, answer_questions
from frism.distillation.tower_inputs import move_to, record, replay
from frism.triples.architectures import ARCHITECTURES
from frism.triples.triple import Triple
from tests.support import architectures, tiny_vlms

ROOM = 5
TEXTS = ("What is it ?", "a", "How many of them are there here ?")


@pytest.fixture(scope="module", params=tiny_vlms.FAMILIES)
def receiver(request: pytest.FixtureRequest) -> Receiver:
    model, processor = tiny_vlms.make(request.param)
    tower = model.get_submodule(ARCHITECTURES[model.config.model_type].module)
    return Receiver(model.requires_grad_(False), processor, tower, {})


@pytest.fixture(scope="module")
def questions() -> list[tuple[Image.Image, str]]:
    numbers = np.random.default_rng(0)
    sizes = ((60, 60), (40, 90), (56, 56))
    pictures = [Image.fromarray(numbers.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]
    return list(zip(pictures, TEXTS, strict=True))


def test_teacher_forcing_gives_the_logits_that_greedy_decoding_saw(
    receiver: Receiver, questions: list[tuple[Image.Image, str]]
) -> None:
    inputs = prepare_questions(receiver.processor, questions, range(len(questions)))
    example = answer_questions(receiver, inputs, TeacherSettings(max_new_tokens=ROOM))
    own = example.logits(receiver)
    batch = collate(inputs, receiver.processor.tokenizer.pad_token_id)
    placeholders = [getattr(receiver.model.config, f"{kind}_token_id", None) for kind in ("image", "video")]
    generated = receiver.model.generate(
        **batch, max_new_tokens=ROOM, do_sample=False, suppress_tokens=[p for p in placeholders if p],
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    answers = generated.sequences[:, batch["input_ids"].shape[1] :]
    written = example.answer[:, -answers.shape[1] :]
    assert torch.equal(answers[written], example.tokens)
    torch.testing.assert_close(own, torch.stack(generated.logits, 1)[written], atol=1e-4, rtol=1e-4)
    assert example.divergence(receiver) == 0


def test_pictures_are_encoded_once(receiver: Receiver, questions: list[tuple[Image.Image, str]]) -> None:
    names = ("visual", "vision_tower", "vision_model")
    tower = next(getattr(receiver.model.base_model, name) for name in names
                 if hasattr(receiver.model.base_model, name))  # fmt: skip
    calls: list[int] = []
    entrance = next(part for part in tower.modules() if isinstance(part, nn.Conv2d | nn.Conv3d | nn.Linear))
    handle = entrance.register_forward_hook(lambda *_: calls.append(1))
    inputs = prepare_questions(receiver.processor, questions, range(len(questions)))
    example = answer_questions(receiver, inputs, TeacherSettings(max_new_tokens=2))
    example.divergence(receiver)
    handle.remove()
    assert len(calls) == 1
    assert "get_image_features" not in vars(receiver.model.base_model)
    assert "forward" not in vars(tower)


def test_a_recorded_call_is_the_plain_model(
    receiver: Receiver, questions: list[tuple[Image.Image, str]]
) -> None:
    batch = collate(
        prepare_questions(receiver.processor, questions, range(3)), receiver.processor.tokenizer.pad_token_id
    )
    with torch.no_grad():
        plain = receiver.model(**batch, use_cache=False).logits
        again = receiver.logits(replay(receiver, record(receiver, batch)).flatten(0, 1))
    assert torch.equal(again, plain.flatten(0, 1))


def test_capped_logits_are_capped(tmp_path: Any) -> None:
    """PaliGemma 2's head bends its logits; the others end in a plain product."""
    architectures.make("paligemma2", tmp_path)
    triple = Triple.open(*(tmp_path / role for role in ("base", "vlm", "lrm")))
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder).eval()
    receiver = Receiver.wrap(triple, model, None)
    text = torch.randint(3, 90, (2, 6), generator=torch.Generator().manual_seed(0))
    ids = torch.cat([torch.full((2, 4), architectures.IMAGE_TOKEN), text], dim=1)
    batch = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids),
        "pixel_values": torch.zeros(2, 3, 28, 28),
    }  # fmt: skip
    with torch.no_grad():
        model.lm_head.weight.mul_(1000)
        plain = model(**batch, use_cache=False).logits
        again = receiver.logits(replay(receiver, record(receiver, batch)).flatten(0, 1))
    assert plain.abs().max() > 25  # of a cap of 30
    assert torch.equal(again, plain.flatten(0, 1))


def test_placing_keeps_the_nesting() -> None:
    value = {"a": [torch.ones(2), None], "b": (torch.zeros(1), {"c": 3})}
    found = move_to(value, torch.device("cpu"))
    assert found["a"][1] is None
    assert isinstance(found["b"], tuple)
    assert found["b"][1] == {"c": 3}
