"""One contract for every method file: documented, typed, finite, repeatable, harmless to its inputs."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from frism.errors import UserError
from frism.merging.on_load import apply, load, merged
from frism.method import method as methods
from frism.method.recipe import Recipe
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import decompose
from frism.triples.triple import Triple

# Enough to run a fit through, not to learn anything.
SHORT = {"steps": 2, "batch": 4, "max_new_tokens": 4, "samples": 1}
Fitted = dict[str, Tensor]

every_method = pytest.mark.parametrize("name", methods.available())


@pytest.fixture(scope="session")
def prepare(triple: Triple, calibration: Any) -> Callable[[str], tuple[Recipe, Fitted]]:
    """Fit a method (briefly) and make its recipe; the reference of a control is FRISM, fitted once."""
    done: dict[str, tuple[Recipe, Fitted]] = {}

    def run(name: str) -> tuple[Recipe, Fitted]:
        if name not in done:
            method = methods.find(name)
            supplied: dict[str, object] = {"calibration": calibration, "seed": 0}
            if method.needs_reference:
                recipe, fitted = run("frism")
                supplied |= {"reference": fitted, "reference_params": recipe.params}
            params = {key: value for key, value in SHORT.items() if key in method.parameters}
            fitted = method.run_fit(triple, params, **supplied)
            done[name] = Recipe.make(triple, name, params, fitted=fitted), fitted
        return done[name]

    return run


def seeded_tensors(method: methods.Method, shape: tuple[int, ...] = (12, 8)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {source: torch.randn(shape, generator=generator) for source in method.sources}


@every_method
def test_label_citation_and_parameters_are_documented(name: str) -> None:
    method = methods.find(name)
    assert 0 < len(method.label) <= 60
    assert len(method.doc.splitlines()) >= 3, "after the label: the citation and the deviation, if any"
    documented = method.doc + (inspect.getdoc(method.merge) or "") + (inspect.getdoc(method.fit) or "")
    assert [p for p in method.parameters if p not in documented] == []


@every_method
def test_file_is_short_and_typed(name: str) -> None:
    method = methods.find(name)
    path = Path(inspect.getfile(method.merge))
    if method.module.startswith("baselines."):
        assert len(path.read_text().splitlines()) <= 60
    hints = inspect.get_annotations(method.merge)
    assert set(method.sources) | {"return"} <= set(hints)


@every_method
def test_wrong_parameters_are_refused(name: str) -> None:
    method = methods.find(name)
    with pytest.raises(UserError, match=f"method {name} has no parameter 'no_such'"):
        method.validate({"no_such": 1})
    for parameter in method.parameters.values():
        with pytest.raises(UserError, match=f"parameter '{parameter.name}' must be"):
            method.validate({parameter.name: [parameter.default]})
    assert method.validate(method.validate({})) == {p.name: p.default for p in method.parameters.values()}


@every_method
def test_results_are_finite_repeatable_and_leave_inputs_alone(
    name: str, triple: Triple, prepare: Callable[[str], tuple[Recipe, Fitted]]
) -> None:
    recipe, fitted = prepare(name)
    method, spectra = methods.find(name), Spectra(triple)
    for tensor_name in triple.names(recipe.scope)[:7]:
        tensors = {source: triple.read(source, tensor_name) for source in method.sources}
        own = {
            key.partition("/")[2] or "value": value
            for key, value in fitted.items()
            if key.partition("/")[0] == tensor_name
        }
        inputs = [*tensors.values(), *own.values()]
        kept = [tensor.clone() for tensor in inputs]
        where = {"name": tensor_name, "layer": triple.layer(tensor_name), "layers": triple.layers}
        where["spectrum"] = spectra.load(tensor_name) if method.needs_spectrum else None
        first = method.run_merge(tensors, recipe.params, seed=0, fitted=own, **where).clone()
        second = method.run_merge(tensors, recipe.params, seed=0, fitted=own, **where)
        assert torch.equal(first, second)
        assert first.shape == kept[0].shape
        assert first.dtype == torch.float32
        assert torch.isfinite(first).all()
        assert all(torch.equal(now, before) for now, before in zip(inputs, kept, strict=True))


@every_method
def test_order_of_tensors_does_not_matter(
    name: str,
    triple: Triple,
    prepare: Callable[[str], tuple[Recipe, Fitted]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, fitted = prepare(name)
    forward = dict(merged(triple, recipe, fitted))
    reverse = triple.names()[::-1]
    monkeypatch.setattr(triple, "names", lambda scope=None: reverse)
    backward = dict(merged(triple, recipe, fitted))
    assert all(torch.equal(forward[key], backward[key]) for key in forward)


@every_method
def test_nothing_outside_the_scope_changes_in_the_loaded_model(
    name: str, triple: Triple, prepare: Callable[[str], tuple[Recipe, Fitted]]
) -> None:
    recipe, fitted = prepare(name)
    model = load(triple, None)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    apply(model, triple, recipe, fitted)
    inside = {f"model.language_model.{key}" for key in triple.names(recipe.scope)}
    for key, tensor in model.state_dict().items():
        if key not in inside:
            assert tensor.numpy().tobytes() == before[key].numpy().tobytes(), key


@pytest.mark.parametrize(
    "name", [n for n in methods.available() if methods.find(n).module.startswith("baselines.")]
)
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1), (3, 5)])
def test_baselines_take_biases_norms_and_any_shape(name: str, shape: tuple[int, ...]) -> None:
    method = methods.find(name)
    params = method.validate({})
    for layer in (None, 0, 5):
        tensors = seeded_tensors(method, shape)
        matrix = method.needs_spectrum and len(shape) == 2
        merged_tensor = method.run_merge(
            tensors, params, name="x", layer=layer, layers=6, seed=0, fitted={},
            spectrum=decompose(tensors["lrm"] - tensors["base"]) if matrix else None,
        )  # fmt: skip
        assert merged_tensor.shape == shape
