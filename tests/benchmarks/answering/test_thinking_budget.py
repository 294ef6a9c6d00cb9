"""A thought is ended after its budget, and the answer goes on as the model goes on from there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering.sampling import list_samples
from benchmarks.answering.thoughts import Thoughts
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.prompting.families import find_family
from benchmarks.prompting.thinking import CONVENTIONS, find_closing, find_spoken
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from frism.errors import UserError
from tests.support import architectures
from tests.support.studies import WEIGHTS
from tests.support.thought_tags import open_thought

ROOM, BUDGET = 10, 3


@pytest.fixture
def model() -> Any:
    return AutoModelForImageTextToText.from_pretrained(WEIGHTS["vlm"]).eval()


@pytest.fixture
def processor() -> Any:
    return AutoProcessor.from_pretrained(WEIGHTS["vlm"])


@pytest.fixture
def asked(items_folder: Path) -> list[Item]:
    return reading.load_items(items_folder, "test", ["mini_total"])["mini_total"][:4]


def open_engine(model: Any, processor: Any, **further: Any) -> TransformersEngine:
    return TransformersEngine(
        model, processor, EngineSettings(max_new_tokens=ROOM, **further), family=find_family("qwen2_5_vl")
    )


def teach_closing(model: Any, processor: Any) -> int:
    """Let templates begin with a thought, and the tokenizer write the tag that ends it; return its id."""
    open_thought(processor, "<think>")
    processor.tokenizer.add_tokens(["</think>"], special_tokens=True)
    model.resize_token_embeddings(max(len(processor.tokenizer), model.config.get_text_config().vocab_size))
    return int(processor.tokenizer.convert_tokens_to_ids("</think>"))


@torch.inference_mode()
def _generate_from(engine: TransformersEngine, item: Item, begun: list[int], room: int) -> list[int]:
    """What `generate` of transformers says after the prompt and the tokens `begun`."""
    row = engine.preparer.process(item)
    ids = torch.cat([row["input_ids"], torch.tensor([begun], dtype=torch.long)], dim=1)
    more = {name: torch.nn.functional.pad(row[name], (0, len(begun)), value=value)
            for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)) if name in row}  # fmt: skip
    inputs = {**row, **more, "input_ids": ids}
    out = engine.model.generate(
        **inputs, max_new_tokens=room, do_sample=False, eos_token_id=sorted(engine.ends)
    )
    return [*begun, *out[0, ids.shape[1] :].tolist()]


def test_an_open_thought_is_ended_and_the_answer_goes_on(
    model: Any, processor: Any, asked: list[Item]
) -> None:
    end = teach_closing(model, processor)
    engine = open_engine(model, processor, thinking_budget=BUDGET)
    found = engine._generate_tokens(asked)
    free = open_engine(model, processor)._generate_tokens(asked)
    assert any(len(row) > BUDGET for row in free), "some answers are still thoughts then"
    for item, row, before in zip(asked, found, free, strict=True):
        if len(before) <= BUDGET:
            assert row == before
            continue
        expected = _generate_from(engine, item, [*before[:BUDGET], end], ROOM - BUDGET - 1)
        assert row == expected
    texts = [p.raw for batch in engine.answers(engine.batches(asked, {})) for p in batch]
    assert all(text.startswith("<think>") for text in texts)
    long = [text for text, row in zip(texts, free, strict=True) if len(row) > BUDGET]
    assert all(text.count("</think>") == 1 and find_spoken(text) is not None for text in long)


def test_a_budget_that_is_not_used_up_changes_nothing_but_the_key(
    model: Any, processor: Any, asked: list[Item]
) -> None:
    teach_closing(model, processor)
    free, ample = open_engine(model, processor), open_engine(model, processor, thinking_budget=ROOM + 1)
    assert ample._generate_tokens(asked) == free._generate_tokens(asked)
    assert not {k for b in ample.batches(asked, {}) for k in b.keys} & {
        k for b in free.batches(asked, {}) for k in b.keys
    }
    assert "thinking_budget" not in free.fingerprint["decoding"]


def test_an_answer_that_is_no_thought_goes_on(model: Any, processor: Any, asked: list[Item]) -> None:
    free, bounded = open_engine(model, processor), open_engine(model, processor, thinking_budget=2)
    assert bounded._generate_tokens(asked) == free._generate_tokens(asked)


def test_samples_have_it_too_whatever_their_batch(model: Any, processor: Any, asked: list[Item]) -> None:
    teach_closing(model, processor)
    drawn = list_samples(asked, 2)
    sampling = SamplingSettings(samples=2, temperature=1.5)
    found = [
        [p.raw for batch in engine.answers(engine.batches(drawn, {})) for p in batch]
        for size in (1, 8)
        for engine in [
            open_engine(model, processor, batch_size=size, sampling=sampling, thinking_budget=BUDGET)
        ]
    ]
    assert found[0] == found[1] and any("</think>" in text for text in found[0])


def test_a_tokenizer_without_the_tag_is_a_sentence() -> None:
    known = Thoughts(opening="◁think▷")
    with pytest.raises(UserError, match=r"cannot write '◁/think▷'.*drop engine.thinking_budget"):
        known.close(architectures.tokenizer(), [5, 6])


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
def test_the_closing_tag_of_every_convention_ends_its_thought(convention: Any) -> None:
    thought = f"{convention.begin} perhaps B"
    closing = find_closing(thought)
    assert closing and find_spoken(f"{thought}{closing}The answer is C") == "The answer is C"
    assert find_closing(f"{thought}{closing} C") == "" and find_closing("C") == ""


def test_only_the_transformers_engine_has_it() -> None:
    with pytest.raises(ValidationError, match="thinking_budget is a setting of transformers, not of vllm"):
        EngineSettings(name="vllm", thinking_budget=5)
