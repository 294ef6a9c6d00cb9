"""The openai engine against a real server on loopback that runs the same tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering import keys
from benchmarks.answering.answer import predict
from benchmarks.answering.engine import describe_origin, open_engine
from benchmarks.answering.predictions import read_predictions
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import QUESTIONS
from tests.support.chat_server import Chat, serving

SUITES = ["mini_number", "mini_total"]


@pytest.fixture
def chat(triple: Triple) -> Chat:
    """The untrained V behind a server."""
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder).eval()
    return Chat(model, AutoProcessor.from_pretrained(triple.vlm_folder))


@pytest.fixture
def address(chat: Chat) -> Iterator[str]:
    with serving(chat) as found:
        yield found


def settings(address: str, **further: object) -> EngineSettings:
    given = {
        "name": "openai",
        "address": address,
        "model": "tiny",
        "max_new_tokens": 6,
        "batch_size": 4,
        "workers": 3,
    }
    return EngineSettings(**{**given, **further})


def test_a_server_with_the_same_weights_answers_the_same(
    chat: Chat, address: str, triple: Triple, items_folder: Path, tmp_path: Path
) -> None:
    asked = reading.load_items(items_folder, "test", SUITES)
    recipe = Recipe.make(triple, "vlm", {})
    out = tmp_path / "v.jsonl"
    count = predict(triple, recipe, {}, asked, settings(address), items_folder, out)
    assert count == QUESTIONS * len(SUITES)
    assert 1 < chat.most <= 3, "several requests at a time, but no more than asked for"
    assert all(body["temperature"] == 0 for body in chat.requests)
    local = TransformersEngine(chat.model, chat.processor, EngineSettings(max_new_tokens=6))
    expected = {
        (p.item.benchmark, p.item.index): (p.raw, p.tokens, p.truncated)
        for group in asked.values()
        for batch in local.generate(group)
        for p in batch
    }
    lines = read_predictions(out)
    assert {(x.benchmark, x.index): (x.raw, x.tokens, x.truncated) for x in lines} == expected
    assert keys.recompute_keys(out) == {x.key: x.item for x in lines}
    before = len(chat.requests)
    assert predict(triple, recipe, {}, asked, settings(address), items_folder, out) == 0
    assert len(chat.requests) == before, "what is there is not asked again"


def test_address_model_and_weights_are_part_of_the_key(
    address: str, triple: Triple, items_folder: Path
) -> None:
    asked = reading.load_items(items_folder, "test", SUITES[:1])[SUITES[0]]
    engine = open_engine(triple, None, {}, settings(address), items_folder)
    first = {key for batch in engine.batches(asked, describe_origin(triple, None)) for key in batch.keys}
    half = Recipe.make(triple, "inject", {"strength": 0.5})
    others = [engine.batches(asked, describe_origin(triple, half))]
    for change in ({"model": "other"}, {"address": "http://elsewhere/v1"}, {"max_new_tokens": 7}):
        engine.settings = engine.settings.model_copy(update=change)
        others.append(engine.batches(asked, describe_origin(triple, None)))
    for batches in others:
        assert not first & {key for batch in batches for key in batch.keys}


def test_a_busy_server_is_asked_again_a_broken_one_reported(
    chat: Chat, address: str, triple: Triple, items_folder: Path
) -> None:
    asked = reading.load_items(items_folder, "test", SUITES[:1])[SUITES[0]][:1]
    engine = open_engine(triple, None, {}, settings(address, retries=2), items_folder)
    chat.failures = 1
    assert len([p for batch in engine.answers(engine.batches(asked, {})) for p in batch]) == 1
    chat.failures = 100
    with pytest.raises(UserError, match=r"did not answer question \S+ of mini_number \(.*503"):
        list(engine.answers(engine.batches(asked, {})))


def test_wrong_names_are_one_sentence_each(address: str, triple: Triple) -> None:
    with pytest.raises(UserError, match="has no model 'other' but tiny"):
        open_engine(triple, None, {}, settings(address, model="other"))
    with pytest.raises(UserError, match="no OpenAI-compatible server answers at http"):
        open_engine(triple, None, {}, settings("http://127.0.0.1:9/v1", retries=0))
    with pytest.raises(UserError, match="engine openai needs the server's address"):
        open_engine(triple, None, {}, EngineSettings(name="openai"))


def test_a_server_is_not_needed_for_answers_that_are_there(
    chat: Chat, triple: Triple, items_folder: Path, tmp_path: Path
) -> None:
    asked = reading.load_items(items_folder, "test", SUITES)
    recipe, out = Recipe.make(triple, "vlm", {}), tmp_path / "v.jsonl"
    with serving(chat) as address:
        given = settings(address, retries=0)
        predict(triple, recipe, {}, asked, given, items_folder, out)
    before = out.read_bytes()
    assert predict(triple, recipe, {}, asked, given, items_folder, out) == 0
    assert out.read_bytes() == before
    out.write_bytes(before[: before.rindex(b"{")])
    with pytest.raises(UserError, match="no OpenAI-compatible server answers"):
        predict(triple, recipe, {}, asked, given, items_folder, out)
