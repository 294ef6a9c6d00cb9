"""V and R answer together: beside a loop of its own, without a cache, and R's prompt cut by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Qwen2ForCausalLM

from benchmarks.answering.decoding import decode
from benchmarks.answering.engine import open_engine
from benchmarks.answering.partner import Partner, find_media_tokens
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions.reading import load_items
from benchmarks.study.config import StudyConfig
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from frism.errors import UserError
from frism.merging import on_load
from frism.merging.export import Job
from frism.method.discovery import find, read_file
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import SETTINGS
from workflow.resolve import find_needs

ROOM = 6


@pytest.fixture(scope="module")
def engine(triple: Triple, items_folder: Path) -> TransformersEngine:
    engine: TransformersEngine = open_engine(triple, None, None, SETTINGS, items_folder)
    return engine


def make(triple: Triple, **params: object) -> Recipe:
    return Recipe.make(triple, "ensemble_logits", params)


def probabilities(model: Any, inputs: dict[str, torch.Tensor], ids: list[int]) -> np.ndarray:
    """The next token's, of one prompt and the answer so far, in float64."""
    added = torch.tensor([ids], dtype=torch.long)
    whole = {**inputs, "input_ids": torch.cat([inputs["input_ids"], added], dim=1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    if "position_ids" in whole:
        positions = whole["position_ids"]
        more = positions[..., -1:] + 1 + torch.arange(len(ids))
        whole["position_ids"] = torch.cat([positions, more], dim=-1)
        kinds = whole["mm_token_type_ids"]
        whole["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(added)], dim=1)
    with torch.inference_mode():
        logits = model(**whole).logits[0, -1].double().numpy()
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("weight", [0.3, 0.7])
def test_answers_are_those_of_the_averaged_distributions(
    engine: TransformersEngine, triple: Triple, items_folder: Path, mean: str, weight: float
) -> None:
    engine.become(triple, make(triple, lrm_weight=weight, mean=mean))
    loaded = load_items(items_folder, "test", ["mini_number", "mini_total"])
    items = [item for group in loaded.values() for item in group[:4]]
    answers = engine._generate_tokens(items)
    vlm, lrm = on_load.load(triple, None), Qwen2ForCausalLM.from_pretrained(triple.lrm_folder)
    config = vlm.config
    pictures = torch.tensor([config.vision_start_token_id, config.vision_end_token_id, config.image_token_id])
    differs = 0
    for item, answer in zip(items, answers, strict=True):
        inputs = engine.preparer.prepare([item])
        ids = inputs["input_ids"]
        seen = {"input_ids": ids[:, ~torch.isin(ids[0], pictures)]}
        assert seen["input_ids"].shape[1] == ids.shape[1] - 38  # 36 visual tokens and their borders
        said: list[int] = []
        for token in answer:
            v, r = probabilities(vlm, inputs, said), probabilities(lrm, seen, said)
            mixed = (1 - weight) * v + weight * r if mean == "arithmetic" else v ** (1 - weight) * r**weight
            second, first = np.sort(mixed)[-2:]
            assert int(mixed.argmax()) == token or first - second < 1e-5 * first
            differs += int(v.argmax()) != token
            said.append(token)
    assert differs  # R has a say


def test_weights_of_nought_and_one_are_either_model_alone(
    engine: TransformersEngine, triple: Triple, items_folder: Path
) -> None:
    items = load_items(items_folder, "test", ["mini_number"])["mini_number"]
    engine.become(triple, Recipe.make(triple, "vlm"))
    assert engine.partner is None
    alone = engine._generate_tokens(items)
    engine.become(triple, make(triple, lrm_weight=0.0))
    assert engine.partner is not None
    assert engine._generate_tokens(items) == alone
    lrm = engine.partner.model
    engine.become(triple, make(triple, lrm_weight=1.0))
    assert engine.partner is not None and engine.partner.model is lrm  # a grid loads R once
    hidden = find_media_tokens(engine.model.config)
    for item, answer in zip(items, engine._generate_tokens(items), strict=True):
        ids = engine.preparer.prepare([item])["input_ids"]
        text = {"input_ids": ids[:, [int(i) not in hidden for i in ids[0]]]}
        text["attention_mask"] = torch.ones_like(text["input_ids"])
        assert decode(lrm, text, max_new_tokens=[len(answer)], ends=engine.ends) == [answer]
    assert engine._generate_tokens(items) != alone
    engine.become(triple, Recipe.make(triple, "vlm"))
    assert engine._generate_tokens(items) == alone


def test_neighbours_and_groups_do_not_matter(
    engine: TransformersEngine, triple: Triple, items_folder: Path
) -> None:
    engine.become(triple, make(triple))
    loaded = load_items(items_folder, "test", ["mini_number", "mini_total"])
    items = [item for group in loaded.values() for item in group]
    together = engine._generate_tokens(items)
    assert together == [engine._generate_tokens([item])[0] for item in items]


def test_samples_are_drawn_from_the_mixture(triple: Triple, items_folder: Path) -> None:
    settings = EngineSettings(
        batch_size=4, max_new_tokens=ROOM, sampling=SamplingSettings(samples=3, temperature=0.8)
    )
    engine = open_engine(triple, make(triple, lrm_weight=0.4), Fitted(), settings, items_folder)
    items = load_items(items_folder, "test", ["mini_total"])["mini_total"][:3]
    first, again = ([p.raw for batch in engine.generate(items) for p in batch] for _ in range(2))
    assert first == again


def test_tokens_that_one_model_lacks(engine: TransformersEngine) -> None:
    class Small:
        device = torch.device("cpu")

        def get_input_embeddings(self) -> torch.nn.Embedding:
            return torch.nn.Embedding(5, 2)

    mix = find("ensemble_logits").run_mix
    params = find("ensemble_logits").validate({"lrm_weight": 0.5})
    partner = Partner(Small(), frozenset([3]), lambda v, r: mix(v, r, params))
    wide, narrow = torch.zeros(2, 7), torch.zeros(2, 5)
    mixed = partner.mix(wide, narrow).exp()
    torch.testing.assert_close(mixed.sum(-1), torch.ones(2))
    torch.testing.assert_close(mixed[:, 5:], torch.full((2, 2), 0.5 / 7))
    assert partner.mix(narrow, wide).shape == (2, 5)
    group = {"input_ids": torch.tensor([[0, 6, 3, 2]]), "attention_mask": torch.tensor([[0, 1, 1, 1]])}
    read = partner._translate(group)
    assert read["input_ids"].tolist() == [[0, 0, 0, 2]]
    assert read["attention_mask"].tolist() == [[0, 0, 0, 1]]


def test_other_vocabularies_are_refused(copied_folders: dict[str, Path], items_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(copied_folders["lrm"])
    backend = tokenizer.backend_tokenizer.to_str()
    one, other = tokenizer.convert_ids_to_tokens([300, 301])
    path = copied_folders["lrm"] / "tokenizer.json"
    content = json.loads(backend)
    vocabulary = content["model"]["vocab"]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(content))
    triple = Triple.open(**copied_folders)
    with pytest.raises(UserError, match="can only be mixed over one vocabulary"):
        open_engine(triple, make(triple), Fitted(), SETTINGS, items_folder)


def test_nothing_that_merges_takes_it(triple: Triple, tmp_path: Path) -> None:
    recipe = make(triple)
    with pytest.raises(UserError, match="ensemble_logits merges nothing"):
        list(on_load.merge(triple, recipe))
    with pytest.raises(UserError, match="ensemble_logits merges nothing"):
        Job.from_recipe(triple, recipe, Fitted(), tmp_path / "out").make_plan()
    assert on_load.measure_injected_norms(triple, recipe) == {}


@pytest.mark.parametrize("engine", ["vllm", "vlmeval"])
def test_other_engines_are_refused_at_planning(engine: str) -> None:
    config = StudyConfig.load(Path("config/miniature.yaml")).model_dump(mode="json", exclude_defaults=True)
    config["engine"]["name"] = engine
    config["variants"] = {"vlm": {"method": "vlm"}, "both": {"method": "ensemble_logits"}}
    with pytest.raises(UserError, match=f"variant both: .* which engine {engine} cannot: choose engine"):
        find_needs(StudyConfig.make(config, "config"))


def test_a_file_has_either_mix_or_merge(tmp_path: Path) -> None:
    file = tmp_path / "both_ways.py"
    file.write_text(
        '"""Both."""\n\ndef mix(vlm, lrm, *, weight: float = 0.5):\n    return vlm\n\n'
        "def merge(site):\n    return site.vlm\n"
    )
    with pytest.raises(UserError, match="has both mix and merge"):
        read_file(file)
    file.write_text('"""One."""\n\ndef mix(vlm, *, weight: float = 0.5):\n    return vlm\n')
    with pytest.raises(UserError, match="mix must take 2 positional arguments"):
        read_file(file)
