"""Tiny models of the true classes through VLMEvalKit's loop and through ours, on VLMEvalKit's own datasets.

Prompts, inputs and tidying of the loop are VLMEvalKit's code; the answers of both must be the same texts.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import transformers

from benchmarks.answering.engine import open_engine
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading, writing
from benchmarks.questions.item import Item
from benchmarks.registry import lookup
from benchmarks.scoring.question_scores import score_with_judge
from benchmarks.study.engine_settings import EngineSettings
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.conftest import perturb
from tests.support import tiny_vlms, tsvs

# Multiple choice, several pictures in a question, yes or no, free answers, numbers, JSON.
DATASETS = ["MMStar", "POPE", "TextVQA_VAL", "ChartQA_TEST", "OCRBench", "MathVista_MINI", "LogicVista",
            "MMMU_DEV_VAL", "HallusionBench", "RealWorldQA"]  # fmt: skip
REQUIRED = ["qwen2_5_vl", "qwen3_vl", "llava_onevision", "internvl", "smolvlm"]
SETTINGS = EngineSettings(batch_size=4, max_new_tokens=6)
# Their classes mean to leave out special tokens but do not; a trained model says none, a random one does.
LEAVING_SPECIALS = ("llava", "llava_next", "mllama")
Asked = dict[str, list[Item]]
Ask = Callable[..., Asked]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """A function that makes the items of some datasets for a family."""
    data = tmp_path_factory.mktemp("data")

    @cache
    def path(name: str) -> Path:
        return tsvs.make(name, data, 5)

    def make(kind: str, names: list[str], **overrides: object) -> Asked:
        folder = tmp_path_factory.mktemp("items")
        definitions = [lookup.find(tsvs.pinned(path(name))) for name in names]
        writing.write_items(
            folder, definitions, {"test": "all"}, data=data, family=find_family(kind, **overrides)
        )
        return reading.load_items(folder, "test", names)

    return make


def answers(engine: TransformersEngine, asked: list[Item]) -> list[Prediction]:
    """One prediction for each item, in their order."""
    found = {p.item.index: p for batch in engine.generate(asked) for p in batch}
    return [found[item.index] for item in asked]


def said(predictions: list[Prediction], kind: str = "") -> list[tuple[str, int, bool]]:
    """Text, tokens and whether it was cut."""
    texts = [_without_specials(p.raw) if kind in LEAVING_SPECIALS else p.raw for p in predictions]
    return [(text, p.tokens, p.truncated) for text, p in zip(texts, predictions, strict=True)]


def compare(kind: str, asked: Asked, **overrides: object) -> tuple[dict, dict]:
    """Both engines on the same model; their predictions by benchmark, the loop's first."""
    model, processor = tiny_vlms.make(kind)
    own = find_family(kind, **overrides)
    loop = VlmevalkitLoop(model, processor, SETTINGS, own)
    ours = TransformersEngine(model, processor, SETTINGS, family=own)
    expected = {name: answers(loop, questions) for name, questions in asked.items()}
    found = {name: answers(ours, questions) for name, questions in asked.items()}
    for name in asked:
        assert said(found[name], kind) == said(expected[name], kind), name
    return expected, found


def different(predictions: dict[str, list[Prediction]]) -> int:
    """How many different answers there are."""
    return len({p.raw for group in predictions.values() for p in group})


def _without_specials(text: str) -> str:
    """Without special tokens, and without the halves of letters that these stood between."""
    return re.sub("<[^<>]*>|\ufffd", "", text)


@pytest.mark.parametrize("kind", REQUIRED)
def test_answers_and_scores_are_those_of_vlmevalkits_loop(kind: str, ask: Ask) -> None:
    asked = ask(kind, DATASETS)
    expected, found = compare(kind, asked)
    assert different(expected) > 10, "a model that always says the same proves nothing"
    first, second = (score_with_judge("v", asked, predictions) for predictions in (expected, found))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.official == second.official
    assert set(first.official) == set(DATASETS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(tiny_vlms.FAMILIES) - set(REQUIRED)))
def test_answers_of_the_other_families_too(kind: str, ask: Ask) -> None:
    # One picture a question: PaliGemma takes no more, and mllama's class sends them in another order.
    names = [name for name in DATASETS if name != "MMMU_DEV_VAL"]
    assert different(compare(kind, ask(kind, names))[0]) > 3


def test_a_studys_own_prompting_reaches_both_engines(ask: Ask) -> None:
    names = ["MMStar", "OCRBench"]
    plain, _ = compare("qwen2_5_vl", ask("qwen2_5_vl", names))
    for overrides in (
        {"system_prompt": "Think."}, {"custom_prompts": True}, {"min_pixels": 50_000, "max_pixels": 90_000},
    ):  # fmt: skip
        expected, _ = compare("qwen2_5_vl", ask("qwen2_5_vl", names, **overrides), **overrides)
        assert said(expected["MMStar"]) != said(plain["MMStar"]), overrides


def test_a_variant_of_another_family_is_merged_on_load_and_answers_as_the_loop(
    ask: Ask, tmp_path: Path
) -> None:
    """From folders on disk: the tower's weights change, processor and tokenizer are read back."""
    model, processor = tiny_vlms.make("smolvlm")
    text = transformers.LlamaForCausalLM(model.config.text_config)
    text.model.load_state_dict(model.model.text_model.state_dict())
    text.lm_head.load_state_dict(model.lm_head.state_dict())
    model.save_pretrained(tmp_path / "vlm")
    processor.save_pretrained(tmp_path / "vlm")
    for role, noise in (("base", 0.1), ("lrm", 0.3)):
        perturb(text, seed=7, size=noise)
        text.save_pretrained(tmp_path / role)
        processor.tokenizer.save_pretrained(tmp_path / role)
    triple = Triple.open(**{role: tmp_path / role for role in ("base", "vlm", "lrm")})
    recipe = Recipe.make(triple, "inject", {"strength": 1.0})
    asked = ask("smolvlm", ["MMStar"])
    folder = asked["MMStar"][0].folder
    found = {}
    for name, variant in (("transformers", recipe), ("vlmeval", recipe), ("transformers", None)):
        settings = SETTINGS.model_copy(update={"name": name})
        engine = open_engine(triple, variant, {}, settings, folder)
        found[name, variant is None] = said(answers(engine, asked["MMStar"]))
    assert found["transformers", False] == found["vlmeval", False]
    assert found["transformers", False] != found["transformers", True]


def test_sorted_by_length_within_a_token_budget_the_answers_are_the_same(ask: Ask) -> None:
    asked = ask("smolvlm", ["MathVista_MINI"])["MathVista_MINI"]
    model, processor = tiny_vlms.make("smolvlm")
    ours = TransformersEngine(model, processor, SETTINGS)
    expected = answers(ours, asked)
    budget = 2 * max(ours._length(item) + SETTINGS.max_new_tokens for item in asked)
    bounded = TransformersEngine(model, processor, SETTINGS.model_copy(update={"token_budget": budget}))
    batches = bounded.batches(asked, {})
    found = {p.item.index: p.raw for batch in bounded.answers(batches) for p in batch}
    assert found == {p.item.index: p.raw for p in expected}
    lengths = [[ours._length(item) for item in batch.items] for batch in batches]
    assert [n for batch in lengths for n in batch] == sorted((n for b in lengths for n in b), reverse=True)
    assert all(len(b) * (max(b) + SETTINGS.max_new_tokens) <= budget for b in lengths)


@pytest.mark.parametrize("kind", tiny_vlms.FAMILIES)
def test_lengths_are_foretold_to_within_a_few_tokens(kind: str, ask: Ask) -> None:
    asked = ask("qwen2_5_vl", ["MMStar", "MathVista_MINI"])
    model, processor = tiny_vlms.make(kind)
    engine = TransformersEngine(model, processor, SETTINGS)
    for item in [item for group in asked.values() for item in group]:
        true = int(engine.preparer.prepare([item])["attention_mask"].sum())
        assert abs(engine._length(item) - true) <= 8
