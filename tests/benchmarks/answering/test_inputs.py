"""The vision tower's output is made once for all variants, in every family that gives it apart."""

from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from benchmarks.answering.decoding import decode
from benchmarks.answering.inputs import Preparer
from benchmarks.answering.tensor_store import TensorStore
from benchmarks.prompting.families import family
from benchmarks.questions.item import Item
from benchmarks.questions.reading import load
from benchmarks.questions.writing import write
from benchmarks.registry import lookup
from tests.support import tiny_vlms, tsvs

ENCODING = [kind for kind in tiny_vlms.FAMILIES if kind != "mllama"]  # mllama has no get_image_features
Make = Callable[[str, str], list[Item]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A function that makes a few items of a dataset for a family."""
    data = tmp_path_factory.mktemp("data")

    def make_items(kind: str, name: str) -> list[Item]:
        folder = tmp_path_factory.mktemp("items")
        definition = lookup.find(tsvs.pinned(tsvs.make(name, data, 3)))
        write(folder, [definition], {"test": "all"}, data=data, family=family(kind))
        return load(folder, "test", [name])[name]

    return make_items


def answer(model: Any, preparer: Preparer, asked: list[Item]) -> list[list[int]]:
    """New tokens of a batch, six each."""
    return decode(model, preparer.prepare(asked), max_new_tokens=[6] * len(asked), ends=frozenset())


@pytest.mark.parametrize("kind", ENCODING)
def test_the_vision_tower_runs_once_for_all_variants(
    kind: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = tiny_vlms.make(kind)
    asked = make(kind, "MMStar")

    def preparer() -> Preparer:
        return Preparer(model, processor, family(kind), weights="v", folder=tmp_path)

    encode = Mock(wraps=model.base_model.get_image_features)
    update_wrapper(encode, model.base_model.get_image_features)  # for its signature
    monkeypatch.setattr(model.base_model, "get_image_features", encode)
    first = preparer()
    expected = answer(model, first, asked)
    assert encode.call_count == 1
    assert answer(model, first, asked) == expected, "from memory"
    assert answer(model, preparer(), asked) == expected, "from files"
    assert encode.call_count == 1
    # A file that a full disk cut short is made again.
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    assert answer(model, preparer(), asked) == expected
    assert encode.call_count == 2
    assert answer(model, Preparer(model, processor, family(kind), weights="w", folder=tmp_path), asked)
    assert encode.call_count == 3, "another tower's output was taken"


def test_questions_about_the_same_pictures_share_them(make: Make, tmp_path: Path) -> None:
    model, processor = tiny_vlms.make("qwen2_5_vl")
    asked = make("qwen2_5_vl", "MMStar")
    preparer = Preparer(model, processor, family("qwen2_5_vl"), weights="v", folder=tmp_path)
    preparer.prepare(asked)
    assert len(list(tmp_path.iterdir())) == 2
    other = [replace(item, message=(*item.message, {"type": "text", "value": "?"})) for item in asked]
    shared = preparer.prepare(other)["mm_encoder_outputs"]["image"].pooler_output
    assert len(list(tmp_path.iterdir())) == 3
    alone = Preparer(model, processor, family("qwen2_5_vl")).prepare(other)["mm_encoder_outputs"]["image"]
    assert torch.equal(torch.cat(shared), torch.cat(alone.pooler_output))


def test_a_store_forgets_the_oldest_and_does_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.answering.tensor_store.MEMORY_LIMIT", 100)
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        store = TensorStore(torch.device("cpu"), folder)
        for key in "abc":
            store.put(key, {"x": torch.zeros(10)})
        assert [key in store for key in "abc"] == [False, True, True]
        assert store.get("a") is None
