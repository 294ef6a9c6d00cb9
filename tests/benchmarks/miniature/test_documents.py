"""Training documents use exactly the tokens that the tokenizer and the chat template give."""

import random

import pytest
import torch

from benchmarks.miniature import question_families as q
from benchmarks.miniature.documents import IGNORED, SHORTLY, WORKED, Batcher, Writer
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.world import describe, draw_scene


@pytest.fixture(scope="module")
def processor():
    return build_processor(build_tokenizer())


def test_every_word_of_the_world_is_one_token(processor) -> None:
    rng = random.Random(0)
    for family in q.FAMILIES.values():
        for _ in range(50):
            scene, question = q.ask(family, rng)
            for word in f"{describe(scene)} {question.text} {question.worked()}".split():
                tokens = processor.tokenizer(f" {word}").input_ids
                assert len(tokens) == 1 + word.count("-") * (word != "-")


def test_words_are_encoded_as_the_tokenizer_does(processor) -> None:
    writer, rng = Writer(processor), random.Random(1)
    for family in q.FAMILIES.values():
        scene, question = q.ask(family, rng)
        text = f"{describe(scene)} {q.REQUEST_STEPS}{question.text} {question.worked()}"
        assert writer.words(text) == processor.tokenizer(f" {text}").input_ids


@pytest.mark.parametrize("seen", [True, False])
def test_a_one_turn_chat_equals_the_chat_template(processor, seen: bool) -> None:
    writer = Writer(processor)
    scene = draw_scene(random.Random(3), tiles=4)
    document = writer.chat(random.Random(3), 1, lambda: (q.total, WORKED), seen=seen, scene=scene)
    question = q.total(scene, random.Random(3))
    text = q.REQUEST_STEPS + question.text
    parts = [{"type": "image"}, {"type": "text", "text": text}] if seen else f"{describe(scene)} {text}"
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
    )
    if seen:
        expected = processor(text=[prompt], images=[document.image]).input_ids[0]
    else:
        expected = processor.tokenizer(prompt).input_ids
    answer = document.learned.index(True)
    assert document.ids[:answer] == list(expected)
    assert processor.tokenizer.decode(document.ids[answer:]) == f" {question.worked()}<|im_end|>\n"


def test_only_answers_are_learned(processor) -> None:
    writer = Writer(processor)
    document = writer.chat(random.Random(5), 4, lambda: (q.number, SHORTLY), seen=False)
    learned = processor.tokenizer.decode(
        [i for i, flag in zip(document.ids, document.learned, strict=True) if flag]
    )
    assert learned.count("<|im_end|>") == 4
    assert all(w in {"<|im_end|>", ""} or w.strip() for w in learned.split())
    assert "Briefly" not in learned


def test_a_batch_masks_padding_and_unlearned_tokens(processor) -> None:
    writer = Writer(processor)
    batcher, rng = Batcher(processor, writer), random.Random(6)
    documents = [writer.chat(rng, 2, lambda: (q.count, SHORTLY), seen=True), writer.facts(rng)]
    batch = batcher(documents)
    assert batch["pixel_values"].shape == (144, 1176)
    for row, document in enumerate(documents):
        assert batch["attention_mask"][row].sum() == len(document.ids)
        kept = batch["labels"][row][batch["labels"][row] != IGNORED]
        assert torch.equal(
            kept, torch.tensor([i for i, f in zip(document.ids, document.learned, strict=True) if f])
        )
