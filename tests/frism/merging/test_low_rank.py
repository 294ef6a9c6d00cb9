"""A merge of low rank as an adapter: loaded by peft onto V, it answers what the merged checkpoint does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import writing
from benchmarks.questions.reading import load_items
from benchmarks.registry.lookup import find as find_benchmark
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.merging import on_load
from frism.merging.low_rank import export_adapter
from frism.method.recipe import Recipe
from frism.triples.triple import ROLES, Triple
from tests.support import architectures

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "benchmarks/miniature/weights"


def leading(triple: Triple) -> Recipe:
    """A quarter of every matrix's singular directions: of low rank by construction."""
    return Recipe.make(triple, "rank_block", {"block": 0, "blocks": 4, "strength": 0.9})


def load_adapted(vlm: Path, adapter: Path) -> Any:
    model = AutoModelForImageTextToText.from_pretrained(vlm, dtype=torch.float32)
    return PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()


def answer(model: Any, vlm: Path, items: Path, suite: str) -> list[str]:
    settings = EngineSettings(name="transformers", batch_size=20, max_new_tokens=96)
    engine = TransformersEngine(model, AutoProcessor.from_pretrained(vlm), settings)
    asked = [item for listed in load_items(items, "test", [suite]).values() for item in listed]
    return [one.raw for batch in engine.batches(asked, {}) for one in engine.answer(batch)]


@pytest.mark.parametrize(
    ("suite", "questions"), [("mini_total", 20), pytest.param("mini_larger", 300, marks=pytest.mark.slow)]
)
def test_peft_answers_as_the_merged_checkpoint(tmp_path: Path, suite: str, questions: int) -> None:
    """300 are all questions of the suite in the miniature study."""
    triple = Triple.open(**{role: WEIGHTS / role for role in ROLES})
    recipe = leading(triple)
    made = export_adapter(triple, recipe, None, tmp_path / "adapter")
    assert (made.matrices, made.lost) == (len(triple.names("mat")), 0.0)
    adapted, merged = load_adapted(triple.vlm_folder, tmp_path / "adapter"), on_load.load(triple, recipe)
    original = on_load.load(triple, None)
    writing.write_items(tmp_path / "items", [find_benchmark(suite)], {"test": questions})
    models, items = (adapted, merged, original), tmp_path / "items"
    answers = [answer(model, triple.vlm_folder, items, suite) for model in models]
    assert [len(given) for given in answers] == [questions] * 3
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl", "gemma3"])
def test_the_adapter_holds_the_change_of_every_matrix(tmp_path: Path, family: str) -> None:
    architectures.make(family, tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    made = export_adapter(triple, leading(triple), None, tmp_path / "adapter")
    merged = on_load.load(triple, leading(triple)).state_dict()
    adapted = load_adapted(tmp_path / "vlm", tmp_path / "adapter").state_dict()
    assert merged.keys() == adapted.keys()
    for name, value in merged.items():
        torch.testing.assert_close(adapted[name], value, rtol=0, atol=3e-7, msg=name)
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == made.rank
    recipe, _ = Recipe.load(tmp_path / "adapter")
    assert recipe == leading(triple)


def test_a_full_rank_merge_is_refused_or_cut(tmp_path: Path, triple: Triple) -> None:
    recipe = Recipe.make(triple, "inject", {"strength": 0.5})
    with pytest.raises(UserError, match=r"has rank \d+ of \d+, so an adapter would be no smaller.*--rank"):
        export_adapter(triple, recipe, None, tmp_path / "adapter")
    made = export_adapter(triple, recipe, None, tmp_path / "adapter", rank=5)
    assert made.rank == 5 and 0.1 < made.lost < 1
    with pytest.raises(UserError, match="exists already"):
        export_adapter(triple, recipe, None, tmp_path / "adapter")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_no_adapter_can_hold_is_refused(tmp_path: Path, triple: Triple) -> None:
    wide = Recipe.make(triple, "inject", {"strength": 0.5}, scope="mat+bias")
    with pytest.raises(UserError, match=r"changes .*bias, which an adapter cannot hold"):
        export_adapter(triple, wide, None, tmp_path / "adapter")
    with pytest.raises(UserError, match="changes nothing of V"):
        export_adapter(triple, Recipe.make(triple, "vlm"), None, tmp_path / "adapter")
    with pytest.raises(UserError, match="lies inside"):
        export_adapter(triple, leading(triple), None, triple.vlm_folder / "adapter")


def test_the_command(tmp_path: Path, triple: Triple) -> None:
    leading(triple).save(tmp_path / "variant")
    folders = [word for role in ROLES for word in (f"--{role}", triple.checkpoints[role].folder)]
    words = ["export", tmp_path / "variant", *folders, "--out", tmp_path / "out", "--as"]
    done = subprocess.run(
        [sys.executable, "-m", "frism", *map(str, [*words, "lora", "--rank", 3])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "an adapter of rank 3 on 42 matrices of V; at most" in done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "frism", *map(str, [*words, "qlora"])], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "--as qlora is unknown" in wrong.stderr
