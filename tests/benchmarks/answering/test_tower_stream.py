"""What an engine is given when it turns into a variant: the whole tower, whatever happens on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.answering.tower_stream import Swap, TowerStream, open_stream
from frism.errors import UserError
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

VARIANTS = {"vlm": {}, "inject": {"strength": 0.7}, "ties": {"density": 0.5}, "layer_swap": {"last_kept": 1}}


@pytest.mark.parametrize("scope", ["mat", "mat+bias", "mat+bias+norm"])
@pytest.mark.parametrize("method", VARIANTS)
def test_every_tower_tensor_comes_once_with_the_values_of_a_merge(
    triple: Triple, method: str, scope: str
) -> None:
    recipe = Recipe.make(triple, method, VARIANTS[method], scope=scope)
    stream = TowerStream(triple, recipe, Fitted())
    found = dict(streamed := list(stream))
    names = triple.tower_names(triple.widest_scope)
    assert [name for name, _ in streamed] == [triple.stored(name) for name in names]
    assert stream.error is None and stream.count == len(names)
    merged = dict(on_load.merge(triple, recipe, Fitted()))
    for name in names:
        expected = merged[name] if name in merged else triple.read("vlm", name)
        assert torch.equal(found[triple.stored(name)], expected), name


def test_layers_come_one_after_the_other(triple: Triple) -> None:
    """An engine keeps what it has of a layer until the layer is whole."""
    layers = [
        name.split("layers.")[1].split(".")[0]
        for name, _ in TowerStream(triple, Recipe.make(triple, "inject"), Fitted())
        if "layers." in name
    ]
    assert layers == sorted(layers, key=int)


def test_a_merge_that_breaks_off_leaves_v_and_its_error(triple: Triple) -> None:
    nothing = torch.tensor(float("nan"))
    fitted = Fitted({"vlm": torch.tensor(0.5), "lrm": nothing})
    recipe = Recipe.make(triple, "metagpt", fitted=fitted)
    stream = TowerStream(triple, recipe, fitted)
    found = dict(stream)  # raises nothing
    assert isinstance(stream.error, UserError)
    assert stream.count == len(triple.tower_names(triple.widest_scope))
    for name in triple.tower_names(triple.widest_scope):
        assert torch.equal(found[triple.stored(name)], triple.read("vlm", name))


def test_sums_follow_the_dtype_of_the_engine(triple: Triple) -> None:
    whole, half = (TowerStream(triple, None, dtype=d) for d in (torch.float32, torch.bfloat16))
    names = [name for name, _ in whole]
    assert len(list(half)) == len(names) == len(whole.sums.norms)
    name = triple.tower_names(triple.widest_scope)[0]
    values = triple.read("vlm", name).to(torch.bfloat16).double()
    assert half.sums.norms[0] == pytest.approx(float(values.norm()), rel=1e-12)
    assert half.sums.totals[0] == pytest.approx(float(values.sum()), rel=1e-12)
    assert whole.sums.norms != half.sums.norms


def test_a_swap_travels_as_plain_values(triple: Triple, tmp_path: Path) -> None:
    fitted = Fitted({"vlm": torch.tensor(0.25), "lrm": torch.tensor(0.75)})
    recipe = Recipe.make(triple, "metagpt", fitted=fitted)
    swap = Swap.save(triple, recipe, fitted, None, tmp_path / "variant")
    stream = open_stream(Swap(**swap.to_dict()), "cpu", torch.float32)
    assert stream.recipe is not None and stream.recipe.key == recipe.key
    expected = dict(TowerStream(triple, recipe, fitted))
    assert all(torch.equal(value, expected[name]) for name, value in stream)


def test_a_recipe_of_another_triple_is_refused_before_a_tensor_is_read(
    triple: Triple, variant: Callable[..., Path]
) -> None:
    folders = {role: str(checkpoint.folder) for role, checkpoint in triple.checkpoints.items()}
    crossed = folders | {"lrm": folders["base"]}
    with pytest.raises(UserError, match="the recipe was made for another lrm"):
        open_stream(Swap(crossed, str(variant("inject", strength=0.5))), "cpu", torch.float32)
