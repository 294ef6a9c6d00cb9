"""Every engine keeps what marks a thought: a cut chain is an unfinished thought and never an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering.openai_server import OpenAIServer
from benchmarks.answering.thoughts import Thoughts, find_thoughts
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.answering.vllm_plan import VllmPlan
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.prompting.thinking import find_spoken
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from tests.support.chat_server import Chat, listening, serving
from tests.support.studies import WEIGHTS
from tests.support.thought_tags import TAG, open_thought, teach_tag

FAMILY = find_family("qwen2_5_vl")


@pytest.fixture
def model() -> Any:
    """The trained V."""
    return AutoModelForImageTextToText.from_pretrained(WEIGHTS["vlm"]).eval()


@pytest.fixture
def processor() -> Any:
    return AutoProcessor.from_pretrained(WEIGHTS["vlm"])


@pytest.fixture
def asked(items_folder: Path) -> list[Item]:
    return reading.load_items(items_folder, "test", ["mini_total"])["mini_total"][:4]


@contextmanager
def opened(engine: str, model: Any, processor: Any, **further: Any) -> Iterator[Any]:
    """An engine around the model; behind a server for openai."""
    given = {"name": engine, "max_new_tokens": 8, **further}
    if engine == "openai":
        with serving(Chat(model, processor)) as address:
            settings = EngineSettings(**given, address=address, model="tiny")
            yield OpenAIServer(settings, FAMILY, find_thoughts(processor, FAMILY, settings))
    else:
        kind = {"transformers": TransformersEngine, "vlmeval": VlmevalkitLoop}[engine]
        yield kind(model, processor, EngineSettings(**given), family=FAMILY)


def answers(engine: Any, asked: list[Item]) -> list[str]:
    return [p.raw for batch in engine.answers(engine.batches(asked, {})) for p in batch]


# --- a tag that the template opens ------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["transformers", "vlmeval", "openai"])
@pytest.mark.parametrize("tag", ["<think>", "[THINK]", "<|begin_of_thought|>"])
def test_a_thought_that_the_template_opens_is_never_an_answer(
    engine: str, tag: str, model: Any, processor: Any, asked: list[Item]
) -> None:
    open_thought(processor, tag)
    with opened(engine, model, processor, max_new_tokens=1) as found:
        texts = answers(found, asked)
        assert found.fingerprint["thinking"] == {"opened": tag}
    assert all(text.startswith(tag) and len(text) > len(tag) for text in texts)
    assert [find_spoken(text) for text in texts] == [None] * 4
    with opened(engine, model, processor, max_new_tokens=1, thinking="none") as plain:
        assert [tag + text for text in answers(plain, asked)] == texts
        assert "thinking" not in plain.fingerprint


@pytest.mark.parametrize("engine", ["transformers", "vlmeval"])
def test_a_studys_own_tags_are_written_as_known_ones(
    engine: str, model: Any, processor: Any, asked: list[Item]
) -> None:
    open_thought(processor, "{hm}")
    with opened(engine, model, processor, thinking=["{hm}", "{/hm}"]) as found:
        texts = answers(found, asked)
        assert found.fingerprint["thinking"] == {"opened": "{hm}", "tags": ["{hm}", "{/hm}"]}
    assert all(text.startswith("<think>") and find_spoken(text) is None for text in texts)
    thoughts = Thoughts.find(processor.tokenizer, "", ("{hm}", "{/hm}"))
    assert thoughts.restore("{hm}A?{/hm}B") == "<think>A?</think>B"


def test_vllm_puts_the_tag_back_too_and_keeps_tags_that_are_tokens(processor: Any) -> None:
    """Its engine decodes by its plan, which needs no vLLM."""
    open_thought(processor, "<think>")
    processor.tokenizer.add_tokens([TAG], special_tokens=True)
    ids = processor.tokenizer(f"{TAG} red<|im_end|>").input_ids
    for thinking, expected in ((None, f"<think>{TAG} red"), ("think", "<think> red")):
        settings = EngineSettings(name="vllm", thinking=thinking)
        assert VllmPlan(Path(WEIGHTS["vlm"]), processor, settings, FAMILY).decode(ids) == expected


# --- tags that are special tokens -------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["transformers", "vlmeval", "openai"])
def test_a_tag_that_is_a_special_token_stays_in_the_answer(
    engine: str, model: Any, processor: Any, asked: list[Item]
) -> None:
    with opened("transformers", model, processor) as plain:
        before = answers(plain, asked)
    first = processor.tokenizer.tokenize(before[0])[1]
    word = teach_tag(model, processor.tokenizer, first)
    with opened(engine, model, processor) as found:
        texts = answers(found, asked)
        assert found.fingerprint["thinking"] == {"kept": [TAG]}
    assert texts == [text.replace(word, TAG) for text in before]
    assert TAG in texts[0], "the model says its tag"
    with opened(engine, model, processor, thinking="none") as plain:
        assert answers(plain, asked) == [text.replace(word, "") for text in before]


def test_only_the_tags_of_thoughts_are_kept(processor: Any) -> None:
    tokenizer = processor.tokenizer
    tokenizer.add_tokens(["<|channel|>", "<|message|>", "<|start|>", TAG], special_tokens=True)
    text = "<|im_start|> red<|channel|> one<|message|> two<|start|><|im_end|>"
    ids = tokenizer(text).input_ids
    keeping = Thoughts.find(tokenizer, "", "harmony").wrap(tokenizer)
    expected = " red<|channel|> one<|message|> two"
    assert keeping.decode(ids, skip_special_tokens=True) == expected
    assert keeping.decode(torch.tensor([ids]), skip_special_tokens=True) == [expected]
    assert keeping.batch_decode([ids, []], skip_special_tokens=True) == [expected, ""]
    assert keeping.batch_decode(torch.tensor([ids]), skip_special_tokens=True) == [expected]
    assert keeping.decode(ids) == tokenizer.decode(ids) == text
    assert keeping.pad_token_id == tokenizer.pad_token_id


def test_models_without_tags_are_left_alone(model: Any, processor: Any) -> None:
    """Their keys and texts are those of before."""
    engine = TransformersEngine(model, processor, EngineSettings())
    assert engine.thoughts == Thoughts()
    assert "thinking" not in engine.fingerprint | engine.family.fingerprint()
    assert engine.thoughts.wrap(processor.tokenizer) is processor.tokenizer
    assert "thinking" not in EngineSettings().model_dump()


# --- what servers send ------------------------------------------------------------------------------

THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "A?"}]}


@pytest.mark.parametrize(
    ("message", "reason", "raw"),
    [
        ({"content": "B", "reasoning": "A?"}, "stop", "<think>A?</think>B"),
        ({"content": "B", "reasoning_content": "A?"}, "stop", "<think>A?</think>B"),
        ({"content": "B", "reasoning": "A?", "reasoning_content": "A?"}, "stop", "<think>A?</think>B"),
        ({"content": None, "reasoning": "A?"}, "length", "<think>A?"),
        ({"content": None, "reasoning": "A?"}, "stop", "<think>A?</think>"),
        ({"content": "B, since", "reasoning": "A?"}, "length", "<think>A?</think>B, since"),
        ({"content": [THINKING, {"type": "text", "text": "B"}]}, "stop", "<think>A?</think>B"),
        ({"content": [THINKING]}, "length", "<think>A?"),
        (
            {"content": [{"type": "reasoning", "text": "A?"}, {"type": "output_text", "text": "B"}]},
            "stop",
            "<think>A?</think>B",
        ),
        ({"content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}]}, "stop", "BC"),
        ({"content": [{"type": "picture"}]}, "stop", ""),
        ({"content": "B", "reasoning": None}, "stop", "B"),
        ({"content": None}, "stop", ""),
    ],
)
def test_thoughts_are_read_wherever_a_server_puts_them(
    message: dict[str, Any], reason: str, raw: str, asked: list[Item]
) -> None:
    assert ask_server(message, reason, Thoughts(), asked) == raw


@pytest.mark.parametrize("opening", ["<think>", "[THINK]"])
@pytest.mark.parametrize(
    ("message", "reason", "spoken"),
    [
        ({"content": "The answer is A?"}, "length", None),
        ({"content": "The answer is B"}, "stop", "The answer is B"),
        ({"content": "B", "reasoning": "A?"}, "stop", "B"),
        ({"content": "B, since", "reasoning": "A?"}, "length", "B, since"),
    ],
)
def test_a_server_that_tells_thoughts_apart_or_drops_them_is_believed(
    opening: str, message: dict[str, Any], reason: str, spoken: str | None, asked: list[Item]
) -> None:
    assert find_spoken(ask_server(message, reason, Thoughts(opening), asked)) == spoken


def test_a_server_that_leaves_thoughts_in_the_text_begins_them(asked: list[Item]) -> None:
    raw = ask_server({"content": "A?</think>B"}, "stop", Thoughts("<think>"), asked)
    assert raw == "<think>A?</think>B"


def ask_server(message: dict[str, Any], reason: str, thoughts: Thoughts, asked: list[Item]) -> str:
    """The stored text of a server's message."""

    def answer(body: dict[str, Any], _: Any) -> tuple[int, dict[str, Any]]:
        return 200, {
            "id": "1", "object": "chat.completion", "created": 0, "model": "served",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip

    with listening(answer, "served") as address:
        settings = EngineSettings(name="openai", address=address, model="served")
        (raw,) = answers(OpenAIServer(settings, FAMILY, thoughts), asked[:1])
        return raw


# --- settings ---------------------------------------------------------------------------------------


def test_a_wrong_convention_is_one_sentence() -> None:
    for value, complaint in [
        ("sedd", "no convention 'sedd'. Did you mean 'seed'"),
        ("xyzzy", "There are: any, none, think"),
        (["<a>", " "], "wants two tags"),
    ]:
        with pytest.raises(ValidationError, match=complaint):
            EngineSettings(thinking=value)
