"""The engine against VLMEvalKit's loop and transformers' generate; keys follow content."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from benchmarks.answering.engine import describe_origin, open_engine
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import item, reading
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import QUESTIONS, SETTINGS, SUITES

csv.field_size_limit(10**7)


def answers(engine: TransformersEngine, asked: list[item.Item]) -> list[str]:
    return [p.raw for batch in engine.generate(asked) for p in batch]


def keys(engine: TransformersEngine, asked: list[item.Item], whence: dict | None = None) -> list[str]:
    return [key for batch in engine.batches(asked, whence or {}) for key in batch.keys]


def test_answers_are_those_of_vlmevalkits_own_loop(
    engine: TransformersEngine, items_folder: Path, triple: Triple, tmp_path: Path
) -> None:
    names = ["mini_total", "mini_existence"]
    command = [
        sys.executable,
        str(Path(__file__).parents[2] / "support" / "vlmevalkit_loop.py"),
        str(triple.vlm_folder),
    ]
    command += [str(items_folder / "test"), ",".join(names), str(tmp_path), str(SETTINGS.max_new_tokens)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, asked in reading.load_items(items_folder, "test", names).items():
        with (tmp_path / f"reference_{find(name).dataset}.tsv").open(newline="") as stream:
            expected = {row["index"]: row["prediction"] for row in csv.DictReader(stream, delimiter="\t")}
        assert len(expected) == QUESTIONS
        assert {p.item.index: p.raw for batch in engine.generate(asked) for p in batch} == expected


def test_answers_are_those_of_generate(engine: TransformersEngine, items_folder: Path) -> None:
    """On a model whose answers end at different lengths, so that rows leave the batch."""
    tokenizer = engine.processor.tokenizer
    engine.settings = EngineSettings(batch_size=64, max_new_tokens=24)
    # A random model hardly ever ends; any frequent token will do for an end.
    frequent = [t for row in _generated(engine, items_folder, 24) for t in row]
    engine.ends = engine.ends | set(frequent[5:60:9])
    asked = reading.load_items(items_folder, "test", SUITES)
    for name in SUITES:
        expected = _generated(engine, items_folder, 24, name)
        texts = tokenizer.batch_decode(expected, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        predictions = [p for batch in engine.generate(asked[name]) for p in batch]
        assert [p.raw for p in predictions] == texts
        assert [p.tokens for p in predictions] == [len(row) - (row[-1] in engine.ends) for row in expected]
        assert [p.truncated for p in predictions] == [row[-1] not in engine.ends for row in expected]
    assert len({p.tokens for p in predictions}) > 2


@torch.inference_mode()
def _generated(
    engine: TransformersEngine, folder: Path, room: int, name: str = "mini_total"
) -> list[list[int]]:
    asked, processor = reading.load_items(folder, "test", name)[name], engine.processor
    processor.tokenizer.padding_side = "left"
    prompts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}],
            add_generation_prompt=True,
            tokenize=False,
        )
        for text in (i.message[1]["value"] for i in asked)
    ]
    inputs = processor(
        text=prompts, images=[i.pictures()[0] for i in asked], padding=True, return_tensors="pt"
    )
    ends = sorted(engine.ends)
    output = engine.model.generate(**inputs, max_new_tokens=room, do_sample=False, eos_token_id=ends)
    rows = []
    for row in output[:, inputs["input_ids"].shape[1] :].tolist():
        stop = next((i + 1 for i, token in enumerate(row) if token in engine.ends), len(row))
        rows.append(row[:stop])
    return rows


def test_batches_stay_within_a_benchmark_and_are_even(engine: TransformersEngine, items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", SUITES[:2])
    batches = engine.batches([*asked["mini_number"], *asked["mini_existence"]], {})
    assert [len(b.items) for b in batches] == [3, 3, 4, 3, 3, 4]
    assert all(len({i.benchmark for i in b.items}) == 1 for b in batches)
    alone = engine.batches(asked["mini_existence"], {})
    assert [b.keys for b in alone] == [b.keys for b in batches[3:]]


def test_keys_follow_everything_that_decides(
    engine: TransformersEngine, triple: Triple, items_folder: Path, variant: Callable[..., Path]
) -> None:
    asked = reading.load_items(items_folder, "test", "mini_number")["mini_number"]
    half, most = (Recipe.load(variant("inject", strength=s))[0] for s in (0.5, 0.9))
    first = keys(engine, asked, describe_origin(triple, half))
    assert len(set(first)) == len(asked)
    assert keys(engine, asked, describe_origin(triple, half)) == first
    others = [
        keys(engine, asked, describe_origin(triple, most)),
        keys(engine, asked, describe_origin(triple, None)),
    ]
    for change in ({"batch_size": 3}, {"max_new_tokens": 7}):
        engine.settings = SETTINGS.model_copy(update=change)
        others.append(keys(engine, asked, describe_origin(triple, half)))
    engine.settings = SETTINGS
    engine.processor.tokenizer.chat_template = engine.processor.chat_template = (
        engine.processor.chat_template.replace("assistant", "helper")
    )
    changed = TransformersEngine(engine.model, engine.processor, SETTINGS)
    others.append(keys(changed, asked, describe_origin(triple, half)))
    others.append(keys(engine, asked[1:], describe_origin(triple, half)))  # other neighbours in the batch
    for other in others:
        assert not set(other) & set(first)


def test_other_weights_under_the_same_name_have_other_keys(
    copied_folders: dict[str, Path], items_folder: Path, edit_weights: Callable[..., None]
) -> None:
    asked = reading.load_items(items_folder, "test", "mini_number")["mini_number"]

    def run() -> tuple[list[str], list[str]]:
        triple = Triple.open(**copied_folders)
        engine = open_engine(triple, None, {}, SETTINGS, copied_folders["vlm"].parent)
        return keys(engine, asked, describe_origin(triple, None)), answers(engine, asked)

    before = run()

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[next(name for name in tensors if "patch_embed" in name)].mul_(-3)

    edit_weights(copied_folders["vlm"], change)
    after = run()
    assert not set(before[0]) & set(after[0])
    assert before[1] != after[1], "the vision tower's output was reused for another tower"
    shutil.rmtree(copied_folders["vlm"].parent / "prepared")
    assert run() == after


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="max_new_token"):
        EngineSettings.model_validate_json('{"max_new_token": 3}')
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no GPU"):
            _ = EngineSettings(device="cuda").torch_device
        assert EngineSettings(device="auto").torch_device.type == "cpu"
