"""Finding methods by file name, and every way a parameter or a method file can be wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import baselines
from frism import seeds
from frism.errors import UserError
from frism.merging.on_load import merged
from frism.method import method as methods
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

TEN_LINES = '''"""Half way: V + half * (R - V).

A method file as a user would write it.
"""

from torch import Tensor


def merge(vlm: Tensor, lrm: Tensor, *, half: float = 0.5) -> Tensor:
    return vlm + half * (lrm - vlm)
'''

Drop = Callable[[str, str], None]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Drop a file into the package `baselines` (a second folder of it: nothing real is touched)."""
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)

    yield write


def test_a_dropped_file_is_a_method(drop: Drop, triple: Triple) -> None:
    before = methods.available()
    drop("half_way_a", TEN_LINES)
    drop("_helper", "")
    assert methods.available() == sorted([*before, "half_way_a"])
    method = methods.find("half_way_a")
    assert (method.label, method.sources, method.scope) == ("Half way", ("vlm", "lrm"), "mat")
    assert method.validate({}) == {"half": 0.5}
    recipe = Recipe.make(triple, "half_way_a")
    for name, tensor in merged(triple, recipe):
        vlm, lrm = triple.read("vlm", name), triple.read("lrm", name)
        assert torch.equal(tensor, vlm + 0.5 * (lrm - vlm))


def test_finding_does_not_import_the_others(drop: Drop) -> None:
    drop("half_way_b", "this is no Python")
    assert methods.find("vlm").label == "VLM"
    with pytest.raises(UserError, match=r"method half_way_b .*fails to import: SyntaxError"):
        methods.find("half_way_b")


def test_unknown_method_lists_and_suggests() -> None:
    with pytest.raises(
        UserError, match=r"unknown method 'injct' \(available: .*ties.*\)\. Did you mean 'inject'\?"
    ):
        methods.find("injct")


def test_unknown_parameter_lists_and_suggests() -> None:
    inject = methods.find("inject")
    with pytest.raises(
        UserError, match=r"inject has no parameter 'strenght' \(it accepts: strength\)\. Did you mean"
    ):
        inject.validate({"strenght": 0.1})
    with pytest.raises(UserError, match=r"vlm has no parameter 'strength' \(it accepts: none\)"):
        methods.find("vlm").validate({"strength": 0.1})


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("inject", "strength", "0.1"),
        ("inject", "strength", True),
        ("inject", "strength", None),
        ("inject", "strength", [0.1]),
        ("inject", "strength", float("nan")),
        ("layer_swap", "last_kept", 2.0),
        ("dare_linear", "rescale", 1),
        ("layer_range", "part", "erly"),
        ("layer_range", "part", 1),
    ],
)
def test_wrong_type_or_choice_names_method_and_parameter(method: str, name: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"method {method}: parameter '{name}' must be"):
        methods.find(method).validate({name: value})


def test_an_int_serves_as_float_and_defaults_fill_in() -> None:
    params = methods.find("ties").validate({"strength": 1})
    numbers = {name: value for name, value in params.items() if not isinstance(value, str)}
    assert numbers == {"density": 0.2, "strength": 1.0, "vlm_weight": 1.0, "lrm_weight": 1.0}
    assert all(type(value) is float for value in numbers.values())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('"""X."""\n', "has no function merge"),
        ("def merge(vlm): return vlm\n", "no docstring"),
        ('"""X."""\nSCOPE = "most"\ndef merge(vlm): return vlm\n', "SCOPE is 'most'"),
        ('"""X."""\nELEMENTWISE = {"a": 1}\ndef merge(vlm): return vlm\n', "ELEMENTWISE names 'a'"),
        (
            '"""X."""\nELEMENTWISE = {"a": "x"}\ndef merge(vlm, *, a: int = 1): return vlm\n',
            "'a' must be int, not 'x'",
        ),
        ('"""X."""\ndef merge(): pass\n', "takes none of base, vlm, lrm"),
        ('"""X."""\ndef merge(vlm, strength): pass\n', "put parameters after"),
        ('"""X."""\ndef merge(vlm, **rest): pass\n', "must be a named argument"),
        ('"""X."""\ndef merge(vlm, *, a=1): pass\n', "'a' of merge needs a type"),
        ('"""X."""\ndef merge(vlm, *, a: list = []): pass\n', "'a' of merge needs a type"),
        ('"""X."""\ndef merge(vlm, *, a: int): pass\n', "'a' of merge needs a default"),
        ('"""X."""\ndef merge(vlm, *, a: int = 0.5): pass\n', "'a' must be int"),
        (
            '"""X."""\ndef merge(vlm, *, a: int = 1): pass\ndef fit(triple, *, a: int = 2): pass\n',
            "'a' differs between merge and fit",
        ),
    ],
)
def test_a_file_that_breaks_the_interface_is_named(
    drop: Drop, request: pytest.FixtureRequest, source: str, message: str
) -> None:
    name = f"broken_{request.node.callspec.indices['source']}"
    drop(name, source)
    with pytest.raises(UserError, match=message):
        methods.find(name)


def test_postponed_annotations_are_read(drop: Drop) -> None:
    drop("postponed", "from __future__ import annotations\n".join(['"""X."""\n', TEN_LINES.split('"""')[2]]))
    assert methods.find("postponed").parameters["half"].type == "float"


def test_two_methods_of_one_name(drop: Drop) -> None:
    drop("frism", TEN_LINES)
    with pytest.raises(UserError, match="two methods are named 'frism'"):
        methods.available()


@pytest.mark.parametrize("result", ["vlm[:1]", "vlm.double()", "vlm / 0", "None"])
def test_bad_results_of_a_method_are_named(
    drop: Drop, triple: Triple, request: pytest.FixtureRequest, result: str
) -> None:
    name = f"bad_result_{request.node.callspec.indices['result']}"
    drop(name, f'"""X."""\ndef merge(vlm): return {result}\n')
    with pytest.raises(UserError, match=rf"method {name} gave .* for layers\.0\.self_attn\.q_proj\.weight"):
        list(merged(triple, Recipe.make(triple, name)))


FITTED = '''"""Fitted."""
import torch
def merge(vlm, *, fitted, layer, layers, name): return vlm + fitted["value"] + fitted["part"].sum()
def fit(triple, calibration, reference, *, seed, steps: int = 3):
    fitted = {name: torch.tensor(float(steps)) for name in triple.names()}
    return fitted | {f"{name}/part": calibration + reference["x"] for name in triple.names()}
'''


def test_fit_gets_what_it_names_and_merge_gets_it_back(drop: Drop, triple: Triple) -> None:
    drop("fitted_a", FITTED)
    method = methods.find("fitted_a")
    assert (method.needs_calibration, method.needs_reference, method.stochastic) == (True, True, True)
    assert method.validate({"steps": 2}) == {"steps": 2}
    calibration, reference = torch.ones(2), {"x": torch.ones(2)}
    fitted = method.run_fit(triple, {"steps": 2}, calibration=calibration, reference=reference, seed=1)
    recipe = Recipe.make(triple, "fitted_a", {"steps": 2}, fitted=fitted)
    for name, tensor in merged(triple, recipe, fitted):
        assert torch.equal(tensor, triple.read("vlm", name) + 2.0 + 4.0)
    with pytest.raises(UserError, match=r"fitted no 'value' for .*bias: choose a smaller scope"):
        list(merged(triple, Recipe.make(triple, "fitted_a", scope="mat+bias", fitted=fitted), fitted))


def test_fit_without_what_it_needs(drop: Drop, triple: Triple) -> None:
    drop("fitted_b", FITTED)
    with pytest.raises(UserError, match="needs 'calibration'"):
        methods.find("fitted_b").run_fit(triple, {}, reference={})
    with pytest.raises(UserError, match=r"needs 'reference'.*`reference:`"):
        methods.find("fitted_b").run_fit(triple, {}, calibration=1)


def test_nan_in_what_was_fitted(drop: Drop, triple: Triple) -> None:
    drop("fitted_nan", FITTED.replace("float(steps)", "float('nan')"))
    with pytest.raises(UserError, match="fitted NaN"):
        methods.find("fitted_nan").run_fit(
            triple, {}, calibration=torch.ones(1), reference={"x": torch.ones(1)}
        )


def test_generators_differ_by_name_and_seed_only() -> None:
    def draw(seed: int, name: str) -> list[float]:
        return torch.rand(4, generator=seeds.seeded(seed, name)).tolist()

    assert draw(0, "a") == draw(0, "a")
    assert len({tuple(draw(seed, name)) for seed in (0, 1) for name in "ab"}) == 4
