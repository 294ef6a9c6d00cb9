"""Engines vllm and openai as a study names them: settings, keys, and what is said where vLLM is missing."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError
from transformers import AutoProcessor

from benchmarks.answering.engine import open_engine, plan_engine
from benchmarks.answering.vllm_engine import read_prompt, refuse_other_prompt
from benchmarks.answering.vllm_model import choose_length, make_arguments
from benchmarks.answering.vllm_plan import VllmPlan
from benchmarks.answering.vllm_server import _write_options
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading
from benchmarks.study.engine_settings import EngineSettings, Served
from benchmarks.study.vllm_settings import VllmSettings
from frism.errors import UserError
from frism.triples.triple import Triple
from tests.support.studies import study_of

VLLM = EngineSettings(name="vllm", batch_size=4, max_new_tokens=6)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of vLLM's name that has its version and nothing else: a plan needs no more."""
    module = ModuleType("vllm")
    module.__version__ = "9.9.9"  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("vllm", None)
    monkeypatch.setitem(sys.modules, "vllm", module)


def plan_with(triple: Triple, items: Path, **changed: object) -> VllmPlan:
    plan = plan_engine(triple, None, VLLM.model_copy(update=changed), items)
    assert isinstance(plan, VllmPlan)
    return plan


def test_what_decides_about_answers_is_in_the_key(named: None, triple: Triple, items_folder: Path) -> None:
    first = plan_with(triple, items_folder).fingerprint
    assert first["libraries"]["vllm"] == "9.9.9" and first["device"] == "cpu"
    deciding: list[dict[str, object]] = [
        {"dtype": "bfloat16"}, {"max_new_tokens": 7}, {"batch_size": 5},
        *({"vllm": VllmSettings(**one)} for one in (
            {"tensor_parallel": 2}, {"max_num_seqs": 8}, {"max_num_batched_tokens": 512},
            {"prefix_caching": False}, {"batch_invariant": True}, {"block_size": 32})),
    ]  # fmt: skip
    for change in deciding:
        assert plan_with(triple, items_folder, **change).fingerprint != first, change
    for free in ({"devices": 2}, {"workers": 0}, {"vllm": VllmSettings(gpu_memory_utilization=0.5)}):
        assert plan_with(triple, items_folder, **free).fingerprint == first, free


def test_the_environments_batch_invariance_is_in_the_key(
    named: None, triple: Triple, items_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    assert plan_with(triple, items_folder).fingerprint["vllm"]["batch_invariant"] is True


def test_a_server_of_the_jobs_own_has_keys_of_its_own(
    named: None, triple: Triple, items_folder: Path
) -> None:
    served = EngineSettings(name="openai", serve="vllm", batch_size=4, max_new_tokens=6)
    found = plan_engine(triple, None, served, items_folder)
    assert found is not None
    assert found.fingerprint["engine"] == f"served {plan_with(triple, items_folder).fingerprint['engine']}"


@pytest.mark.skipif("vllm" in sys.modules, reason="vLLM is installed here")
@pytest.mark.parametrize("settings", [VLLM, EngineSettings(name="openai", serve="vllm")])
def test_without_vllm_its_engines_say_so_in_one_sentence(
    triple: Triple, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert plan_engine(triple, None, settings) is None
    with pytest.raises(UserError, match="vLLM is not installed: make vllm"):
        open_engine(triple, None, {}, settings)


def test_settings_that_are_not_said_change_no_digest() -> None:
    assert {"vllm", "serve"}.isdisjoint(EngineSettings().model_dump(mode="json"))
    assert "served" not in study_of({}).variants["vlm"].model_dump(mode="json")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"name": "openai", "serve": "vllm", "address": "http://x/v1"}, "drop address and model"),
        ({"name": "vllm", "serve": "vllm"}, "serve is a setting of openai"),
        ({"name": "vlmeval", "vllm": {}}, "vllm is a setting of vllm and openai"),
        ({"name": "openai", "vllm": {}}, "add `serve: vllm`"),
        ({"name": "vllm", "devices": 2, "checkpoint": "x"}, "checkpoint is one variant by hand"),
        ({"name": "vllm", "vllm": {"max_num_seqs": 0}}, "greater than or equal to 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        EngineSettings.model_validate(given)


def test_a_variant_is_served_where_it_says() -> None:
    engine = EngineSettings(name="openai", address="http://x/v1", model="all")
    assert engine.at(None) == engine
    assert engine.at(Served(model="mine")).model == "mine"
    assert engine.at(Served(address="http://y/v1")).address == "http://y/v1"


def test_lengths_are_rounded_up_and_end_with_the_positions() -> None:
    assert choose_length(VLLM, 1, None) == choose_length(VLLM, 1024, 5000) == 1024
    assert choose_length(VLLM, 1025, 5000) == 2048
    assert choose_length(VLLM, 9000, 512) == 512
    fixed = VLLM.model_copy(update={"vllm": VllmSettings(max_model_len=300)})
    assert choose_length(fixed, 9000, 512) == 300


def test_the_servers_options_say_what_the_engines_arguments_say() -> None:
    options = _write_options(make_arguments(VLLM.model_copy(update={"vllm": VllmSettings(block_size=32)})))
    assert options[options.index("--block-size") + 1] == "32"
    assert {"--enable-prefix-caching", "--enforce-eager"} <= set(options)
    plain = VLLM.model_copy(update={"vllm": VllmSettings(prefix_caching=False)})
    assert "--no-enable-prefix-caching" in _write_options(make_arguments(plain))


def test_a_prompt_that_vllm_reads_otherwise_is_refused(triple: Triple, items_folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    plan = VllmPlan(triple.vlm_folder, processor, VLLM, find_family("qwen2_5_vl"))
    item = reading.load_items(items_folder, "test", ["mini_number"])["mini_number"][0]
    expected = read_prompt(plan, item)
    assert len(expected) <= plan.find_length(plan_batches(plan, item))
    refuse_other_prompt(plan, item, expected, list(expected))
    with pytest.raises(UserError, match=rf"question {item.index} of mini_number as {len(expected) - 1} tok"):
        refuse_other_prompt(plan, item, expected, expected[1:])


def plan_batches(plan: VllmPlan, item: object) -> list:
    from benchmarks.answering import batching

    return batching.make_batches([item], plan.settings, {}, {})  # type: ignore[list-item]
