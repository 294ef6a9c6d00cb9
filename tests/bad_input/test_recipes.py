"""Recipes and coefficients: a damaged variant is refused or is the one that was saved."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save

from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import COEFFICIENTS, RECIPE, Recipe
from frism.triples.triple import Triple
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import contents, json_files, texts


@pytest.fixture
def variant(triple: Triple, tmp_path: Path) -> Path:
    """A saved variant of a method that fits gates of the right shapes."""
    names = triple.names()[:3]
    fitted = Fitted(
        model={"scale": torch.tensor(2.0)}, tensors={n: {"open": torch.rand(8)} for n in names},
        curve={"kl": torch.ones(3)},
    )  # fmt: skip
    folder = tmp_path / "variant"
    Recipe.make(triple, "inject", {"strength": 0.5}, fitted=fitted).save(folder, fitted)
    return folder


def test_a_damaged_recipe_is_refused_or_was_meant(try_cases: Try, variant: Path, triple: Triple) -> None:
    path = variant / RECIPE
    whole, (original, _) = path.read_bytes(), Recipe.load(variant)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        loaded = attempt(lambda: Recipe.load(variant), path, variant / COEFFICIENTS)
        if isinstance(loaded, Refusal):
            return
        recipe, fitted = loaded
        # What counts for a merge is in the key: either all of it is as it was, or the key is another.
        same = recipe.model_dump(exclude={"base"}) == original.model_dump(exclude={"base"})
        assert (recipe.key == original.key) == same
        attempt(lambda: recipe.check(triple, fitted), "recipe", "method", *triple.digest)
        attempt(lambda: (recipe.name, recipe.mixes), "method", recipe.method)

    try_cases(json_files(json.loads(whole)) | contents(whole), check, few=60)


def test_damaged_coefficients_are_refused(try_cases: Try, variant: Path) -> None:
    path = variant / COEFFICIENTS
    whole = path.read_bytes()

    def check(content: bytes) -> None:
        path.write_bytes(content)
        loaded = attempt(lambda: Recipe.load(variant), path)
        assert isinstance(loaded, Refusal) or content == whole

    try_cases(contents(whole), check)


def test_coefficients_that_do_not_fit_are_refused(try_cases: Try, triple: Triple, tmp_path: Path) -> None:
    """Forged with a true digest: other names, shapes, dtypes and values than the method fits."""
    folder, name = tmp_path / "forged", triple.names()[0]
    shape = triple.read("base", name).shape
    made = Recipe.make(triple, "frism", {"steps": 1})
    gates = {n: {"open": torch.rand(min(triple.read("base", n).shape))} for n in triple.names()}

    def check(case: tuple[str, Any]) -> None:
        key, value = case
        fitted = Fitted(tensors=gates).flatten() | {key: value}
        packed = save({n: v.contiguous() for n, v in fitted.items()})
        folder.mkdir(exist_ok=True)
        (folder / COEFFICIENTS).write_bytes(packed)
        recipe = made.model_copy(update={"coefficients": hashlib.sha256(packed).hexdigest()})
        (folder / RECIPE).write_text(recipe.model_dump_json())
        loaded = attempt(lambda: Recipe.load(folder), folder)
        if not isinstance(loaded, Refusal):
            attempt(lambda: merge_one(triple, *loaded), name, key)

    sizes = st.sampled_from([(), (0,), (1,), (3,), (min(shape),), tuple(shape), (min(shape) + 1,)])
    dtypes = st.sampled_from([torch.float32, torch.int64, torch.bool, torch.bfloat16])
    tensors = st.builds(lambda size, dtype: torch.ones(size, dtype=dtype), sizes, dtypes)
    odd = st.just(torch.full((min(shape),), float("nan")))
    keys = st.sampled_from(
        [f"{name}/open", name, f"{name}/", f"{name}/open/open", "curve/x", "/", "open"]
    ) | texts.filter(lambda text: text and "\ud800" not in text and text != "__metadata__")
    try_cases(st.tuples(keys, tensors | odd), check, few=20)


def merge_one(triple: Triple, recipe: Recipe, fitted: Fitted) -> torch.Tensor:
    """Merge the first tensor as a study does."""
    return next(iter(on_load.merge(triple, recipe, fitted)))[1]
