"""A recipe defines a variant exactly, and what was tampered with is not read."""

import json
from pathlib import Path

import pytest
import torch

from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


def test_saved_and_loaded_recipe_are_equal(triple: Triple, tmp_path: Path) -> None:
    recipe = Recipe.make(
        triple, "ties", {"density": 1, "strength": 1e-3}, scope="mat+bias", seed=3, code="abc"
    )
    recipe.save(tmp_path)
    loaded, fitted = Recipe.load(tmp_path)
    assert loaded == recipe
    assert loaded.key == recipe.key
    assert not fitted
    assert fitted.params == recipe.params
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
    given = {"density": 1.0, "strength": 0.001, "vlm_weight": 1.0, "lrm_weight": 1.0}
    assert {name: loaded.params[name] for name in given} == given


@pytest.mark.parametrize(
    ("method", "params"),
    [("layer_swap", {"last_kept": 0, "vlm_weight": 1.0}), ("layer_range", {"part": "early", "strength": 0.0}),
     ("dare_linear", {"density": 1.0, "strength": 0.1, "rescale": False, "drop_vlm": True})],
)  # fmt: skip
def test_types_of_parameters_survive_the_file(
    triple: Triple, tmp_path: Path, method: str, params: dict
) -> None:
    Recipe.make(triple, method, params).save(tmp_path)
    loaded, _ = Recipe.load(tmp_path)
    for name, value in params.items():
        assert (type(loaded.params[name]), loaded.params[name]) == (type(value), value)


def test_fitted_tensors_come_back_bit_for_bit(triple: Triple, tmp_path: Path) -> None:
    shared = torch.randn(4)
    tensors = {"b": {"gate": shared}, "a": {"gate": shared[:2]}}
    fitted = Fitted(model={"c": torch.tensor(2.0)}, tensors=tensors, curve={"kl": torch.ones(3)})
    recipe = Recipe.make(triple, "inject", fitted=fitted)
    other_order = Fitted(fitted.model, dict(reversed(tensors.items())), fitted.curve)
    assert recipe.coefficients == Recipe.make(triple, "inject", fitted=other_order).coefficients
    recipe.save(tmp_path, fitted)
    loaded, again = Recipe.load(tmp_path)
    assert loaded == recipe
    assert list(again.flatten()) == ["a/gate", "b/gate", "c", "curve/kl"]
    assert {n: t.tolist() for n, t in again.flatten().items()} == {
        n: t.tolist() for n, t in fitted.flatten().items()
    }
    assert again.select("a").keys() == {"gate", "c"}


def test_saving_over_a_fitted_variant_removes_its_coefficients(triple: Triple, tmp_path: Path) -> None:
    fitted = Fitted({"a": torch.tensor(2.0)})
    Recipe.make(triple, "inject", fitted=fitted).save(tmp_path, fitted)
    Recipe.make(triple, "inject").save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_key_follows_every_field(triple: Triple) -> None:
    plain = Recipe.make(triple, "inject")
    other_weights = plain.model_copy(update={"triple": {**plain.triple, "lrm": "0" * 64}})
    others = [
        Recipe.make(triple, "inject", {"strength": 0.31}),
        Recipe.make(triple, "ta_sym"),
        Recipe.make(triple, "inject", seed=1),
        Recipe.make(triple, "inject", scope="mat+bias"),
        Recipe.make(triple, "inject", code="x"),
        Recipe.make(triple, "inject", fitted=Fitted({"a": torch.tensor(1.0)})),
        other_weights,
    ]
    assert len({recipe.key for recipe in [plain, *others]}) == len(others) + 1
    assert Recipe.make(triple, "inject", {"strength": 0.3}).key == plain.key
    assert len(plain.key) == 16


def test_bad_input_before_anything_runs(triple: Triple) -> None:
    with pytest.raises(UserError, match="unknown method"):
        Recipe.make(triple, "injct")
    with pytest.raises(UserError, match="has no parameter"):
        Recipe.make(triple, "inject", {"lambda": 1})
    with pytest.raises(UserError, match="unknown scope"):
        Recipe.make(triple, "inject", scope="everything")


def test_other_coefficients_are_refused_at_saving(triple: Triple, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the ones"):
        Recipe.make(triple, "inject").save(tmp_path, Fitted({"a": torch.tensor(1.0)}))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_damaged_folders(triple: Triple, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*recipe\.json"):
        Recipe.load(tmp_path / "absent")
    fitted = Fitted({"a": torch.arange(9.0)})
    Recipe.make(triple, "inject", fitted=fitted).save(tmp_path, fitted)
    weights = tmp_path / "coefficients.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"coefficients\.safetensors is not what recipe\.json describes"):
        Recipe.load(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match=r"cannot read .*coefficients\.safetensors"):
        Recipe.load(tmp_path)
    content = json.loads((tmp_path / "recipe.json").read_text())
    (tmp_path / "recipe.json").write_text(json.dumps(content | {"lambda": 0.1}))
    with pytest.raises(UserError, match=r"recipe\.json: field 'lambda'"):
        Recipe.load(tmp_path)


def test_unwritable_folder(triple: Triple, tmp_path: Path) -> None:
    (tmp_path / "variants").touch()
    with pytest.raises(UserError, match=r"cannot write .*not a folder"):
        Recipe.make(triple, "inject").save(tmp_path / "variants" / "inject")


def test_a_checkpoint_is_a_variant_by_its_content_wherever_it_lies(
    triple: Triple, triple_folders: dict[str, Path], copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    recipe = Recipe.from_checkpoint(triple, triple_folders["vlm"])
    moved = Recipe.from_checkpoint(triple, copied_folders["vlm"])
    assert recipe.key == moved.key != Recipe.make(triple, "vlm").key
    recipe.save(tmp_path)
    loaded, fitted = Recipe.load(tmp_path)
    assert (loaded, bool(fitted), loaded.name) == (recipe, False, "vlm")
    moved.check(triple, None)
    config = copied_folders["vlm"] / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(UserError, match=r"made from another checkpoint than .* holds now"):
        moved.check(triple, None)


def test_a_recipe_is_a_merge_or_a_checkpoint(triple: Triple, tmp_path: Path) -> None:
    Recipe.make(triple, "inject").save(tmp_path)
    content = json.loads((tmp_path / "recipe.json").read_text())
    (tmp_path / "recipe.json").write_text(json.dumps(content | {"method": None}))
    with pytest.raises(UserError, match="a recipe has a method or a checkpoint"):
        Recipe.load(tmp_path)
