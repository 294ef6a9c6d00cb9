"""Batches follow from a benchmark's own items; settings are checked; a batch too large is halved."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.answering.batching import get_token_limit, make_batches
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from tests.benchmarks.conftest import SETTINGS

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=60)


def item(place: int, length: int, benchmark: str = "a", limit: int | None = None) -> Item:
    message = ({"type": "text", "value": "x" * length},)
    return Item(benchmark, "test", str(place), message, "", (), Path(), max_new_tokens=limit)


def length_of(asked: Item) -> int:
    return len(asked.message[0]["value"])


@given(LENGTHS, st.integers(1, 8), st.one_of(st.none(), st.integers(1, 3000)), LENGTHS)
def test_every_item_once_within_the_limits_whatever_stands_beside(
    lengths: list[int], size: int, budget: int | None, others: list[int]
) -> None:
    settings = EngineSettings(batch_size=size, token_budget=budget, max_new_tokens=10)
    asked = [item(place, length) for place, length in enumerate(lengths)]
    found = make_batches(asked, settings, {}, {}, length_of)
    assert sorted(i.index for b in found for i in b.items) == sorted(i.index for i in asked)
    assert all(len(b.items) <= size for b in found)
    if budget is None:
        assert [i for b in found for i in b.items] == asked
    else:
        for batch in found:
            most = max(length_of(i) + 10 for i in batch.items)
            assert len(batch.items) == 1 or len(batch.items) * most <= budget
    beside = [item(place, length, "b") for place, length in enumerate(others)]
    both = make_batches([*beside, *asked], settings, {}, {}, length_of)
    assert [b for b in both if b.items[0].benchmark == "a"] == found
    assert len({key for b in both for key in b.keys}) == len(asked) + len(beside)


def test_a_questions_own_limit_goes_before_the_settings() -> None:
    assert get_token_limit(item(0, 1, limit=7), SETTINGS) == 7
    assert get_token_limit(item(0, 1), SETTINGS) == SETTINGS.max_new_tokens


def test_limits_of_questions_hold_within_a_batch(engine: TransformersEngine, items_folder: Path) -> None:
    from dataclasses import replace

    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"][:6]
    engine.settings = SETTINGS.model_copy(update={"batch_size": 6})
    engine.ends = frozenset()
    expected = {p.item.index: p for b in engine.generate(asked) for p in b}
    limited = [replace(i, max_new_tokens=2) if place % 2 else i for place, i in enumerate(asked)]
    found = [p for b in engine.generate(limited) for p in b]
    assert [p.tokens for p in found] == [6, 2] * 3
    for prediction in found:
        assert expected[prediction.item.index].raw.startswith(prediction.raw)
        assert prediction.truncated


class Cramped(TransformersEngine):
    """An engine whose memory holds two questions at a time."""

    def _generate_tokens(self, items: Sequence[Item]) -> list[list[int]]:
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super()._generate_tokens(items)


class Tiny(TransformersEngine):
    """An engine whose memory holds none, as the CPU's allocator says it."""

    def _generate_tokens(self, items: Sequence[Item]) -> list[list[int]]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes")


def test_a_batch_too_large_for_the_memory_is_halved_and_that_is_recorded(
    engine: TransformersEngine, items_folder: Path
) -> None:
    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"]
    settings = SETTINGS.model_copy(update={"batch_size": 10})
    plain, cramped = (
        kind(engine.model, engine.processor, settings) for kind in (TransformersEngine, Cramped)
    )
    assert [[p.raw for p in b] for b in cramped.generate(asked)] == [
        [p.raw for p in b] for b in plain.generate(asked)
    ]
    assert [cost.parts for cost in cramped.costs] == [6]
    assert [cost.parts for cost in plain.costs] == [1]
    with pytest.raises(UserError, match=r"question 0 of mini_total needs more memory than cpu has"):
        list(Tiny(engine.model, engine.processor, settings).generate(asked))


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    engine: TransformersEngine, items_folder: Path
) -> None:
    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"]
    engine.model.lm_head = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes"):
        list(engine.generate(asked))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '{"name": "vlmeval", "token_budget": 5}',
            "token_budget is a setting of transformers, not of vlmeval",
        ),
        ('{"address": "http://x/v1"}', "address is a setting of openai"),
        ('{"name": "openai", "serve": "vllm", "model": "m"}', "serve starts a server of its own"),
        ('{"device_map": "auto", "devices": 2}', "drop devices"),
        ('{"batch_size": 0}', "batch_size"),
        ('{"name": "sglang"}', "name"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        EngineSettings.model_validate_json(text)


def test_settings_have_a_schema_and_need_no_torch() -> None:
    import subprocess
    import sys

    properties = EngineSettings.model_json_schema()["properties"]
    assert set(properties) == set(EngineSettings.model_fields)
    code = "import sys, benchmarks.study.engine_settings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
