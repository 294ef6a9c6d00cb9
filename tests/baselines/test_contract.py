"""Every method file keeps the contract (frism.method.contract), on a real triple; what only a model shows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from frism.merging.on_load import apply, load, merge
from frism.method import contract, discovery
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores, Fitting
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

# Enough to run a fit through, not to learn anything.
SHORT = {"steps": 2, "batch": 4, "max_new_tokens": 4, "samples": 1, "evaluations": 6}
Prepared = tuple[Fitting, dict[str, Any], Recipe, Fitted]

every_method = pytest.mark.parametrize("name", discovery.list_names())


def worth(fitted: Fitted) -> DevScores:
    """A score that is a number of the coefficients alone."""
    return DevScores(1.0, float(sum(value.sum() for value in fitted.model.values()) % 1))


@pytest.fixture(scope="session")
def prepare(triple: Triple, calibration: Any) -> Callable[[str], Prepared]:
    """Fit a method (briefly) and make its recipe; the reference of a control is FRISM, fitted once."""
    done: dict[str, Prepared] = {}

    def run(name: str) -> Prepared:
        if name not in done:
            method = discovery.find(name)
            fitting = Fitting(triple, calibration=calibration, scorer=worth)
            if "reference" in method.needs:
                _, _, recipe, fitted = run("frism")
                fitting = replace(fitting, reference=replace(fitted, params=recipe.params))
            params = {key: value for key, value in SHORT.items() if key in method.parameters}
            fitted = method.run_fit(fitting, params)
            done[name] = fitting, params, Recipe.make(triple, name, params, fitted=fitted), fitted
        return done[name]

    return run


@every_method
def test_a_method_keeps_the_contract(name: str, prepare: Callable[[str], Prepared]) -> None:
    method = discovery.find(name)
    fitting, params, _, _ = prepare(name)
    assert contract.can_run(method, fitting)
    assert contract.check(method, fitting, params) == []
    assert contract.check(method) == []  # on other shapes, and biases


@every_method
def test_a_baseline_is_a_short_file(name: str) -> None:
    method = discovery.find(name)
    if method.module.startswith("baselines."):
        assert len(Path(method.file).read_text().splitlines()) <= 60


@every_method
def test_order_of_tensors_does_not_matter(
    name: str, triple: Triple, prepare: Callable[[str], Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, recipe, fitted = prepare(name)
    forward = dict(merge(triple, recipe, fitted))
    reverse = triple.names()[::-1]
    monkeypatch.setattr(triple, "names", lambda scope=None: reverse)
    backward = dict(merge(triple, recipe, fitted))
    assert all(torch.equal(forward[key], backward[key]) for key in forward)


@every_method
def test_nothing_outside_the_scope_changes_in_the_loaded_model(
    name: str, triple: Triple, prepare: Callable[[str], Prepared]
) -> None:
    _, _, recipe, fitted = prepare(name)
    model = load(triple, None)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    apply(model, triple, recipe, fitted)
    inside = {f"model.language_model.{key}" for key in triple.names(recipe.scope)}
    for key, tensor in model.state_dict().items():
        if key not in inside:
            assert tensor.numpy().tobytes() == before[key].numpy().tobytes(), key
