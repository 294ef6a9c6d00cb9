"""Finding methods by file name, and every way a parameter or a method file can be wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import baselines
from frism import seeds
from frism.errors import UserError
from frism.merging.on_load import merge
from frism.method import discovery as methods
from frism.method.fitted import Fitted
from frism.method.fitting import Fitting
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

TEN_LINES = '''"""Half way: V + half * (R - V).

A method file as a user would write it.
"""

from frism.method import Array, Site

READS = {"vlm", "lrm"}


def merge(site: Site, *, half: float = 0.5) -> Array:
    return site.vlm + half * (site.lrm - site.vlm)
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
    before = methods.list_names()
    drop("half_way_a", TEN_LINES)
    drop("_helper", "")
    assert methods.list_names() == sorted([*before, "half_way_a"])
    method = methods.find("half_way_a")
    assert (method.label, method.reads, method.scope) == ("Half way", ("vlm", "lrm"), "mat")
    assert method.validate({}) == {"half": 0.5}
    recipe = Recipe.make(triple, "half_way_a")
    for name, tensor in merge(triple, recipe):
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
        ("def merge(site): return site.vlm\n", "no docstring"),
        ('"""X."""\nSCOPE = "most"\ndef merge(site): pass\n', "SCOPE is 'most': choose from mat, "),
        ('"""X."""\nNEEDS = {"labels"}\ndef merge(site): pass\n', "NEEDS is 'labels': choose from spectrum"),
        ('"""X."""\nREADS = {"teacher"}\ndef merge(site): pass\n', "READS is 'teacher': choose from base"),
        ('"""X."""\nDIRECTIONS = "odd"\ndef merge(site): pass\n', "DIRECTIONS is 'odd'"),
        ('"""X."""\nIGNORES = {"a"}\ndef merge(site, *, b: int = 1): pass\n', "IGNORES is 'a'"),
        ('"""X."""\nELEMENTWISE = {"a": 1}\ndef merge(site): pass\n', "ELEMENTWISE names 'a'"),
        ('"""X."""\nIDENTITY = {"a": 1}\ndef merge(site): pass\n', "IDENTITY names 'a'"),
        (
            '"""X."""\nELEMENTWISE = {"a": "x"}\ndef merge(site, *, a: int = 1): pass\n',
            "'a' must be a whole number, not 'x'",
        ),
        ('"""X."""\ndef merge(): pass\n', "merge must take one positional argument"),
        ('"""X."""\ndef merge(*sites): pass\n', "merge must take one positional argument"),
        ('"""X."""\ndef merge(site, strength): pass\n', "put parameters after"),
        ('"""X."""\ndef merge(site, **rest): pass\n', "must be a named argument"),
        ('"""X."""\ndef merge(site, *, a=1): pass\n', "'a' of merge needs a type"),
        ('"""X."""\ndef merge(site, *, a: list = []): pass\n', "'a' of merge needs a type"),
        ('"""X."""\ndef merge(site, *, a: int): pass\n', "'a' of merge has no default"),
        ('"""X."""\ndef merge(site, *, a: int = 0.5): pass\n', "'a' must be a whole number"),
        (
            '"""X."""\ndef merge(site, *, a: int = 1): pass\ndef fit(fitting, *, a: int = 2): pass\n',
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
        methods.list_names()


@pytest.mark.parametrize("result", ["site.vlm[:1]", "site.vlm.double()", "site.vlm / 0", "None"])
def test_bad_results_of_a_method_are_named(
    drop: Drop, triple: Triple, request: pytest.FixtureRequest, result: str
) -> None:
    name = f"bad_result_{request.node.callspec.indices['result']}"
    drop(name, f'"""X."""\ndef merge(site): return {result}\n')
    with pytest.raises(
        UserError, match=rf"method {name} returned .* for layers\.0\.self_attn\.q_proj\.weight"
    ):
        list(merge(triple, Recipe.make(triple, name)))


@pytest.mark.parametrize(
    ("used", "constant"),
    [("site.base", "READS"), ("site.tau_r", "READS"), ("site.rng", "NEEDS"), ("site.spectrum", "NEEDS")],
)
def test_what_a_method_does_not_declare_it_does_not_get(
    drop: Drop, triple: Triple, used: str, constant: str
) -> None:
    name = f"undeclared_{used.removeprefix('site.')}"
    drop(name, f'"""X."""\nREADS = {{"vlm"}}\ndef merge(site): return ({used}, site.vlm)[1]\n')
    with pytest.raises(UserError, match=rf"method {name} reads site\..*: add '.*' to its {constant}"):
        list(merge(triple, Recipe.make(triple, name)))


FITTED = '''"""Fitted."""
import torch
from frism.method import Fitted
NEEDS = {"calibration", "reference"}
def merge(site):
    return site.vlm + site.fitted["steps"] + site.fitted["part"].sum()
def fit(fitting, *, steps: int = 3):
    part = fitting.calibration + fitting.reference.model["x"]
    own = {name: {"part": part} for name in fitting.triple.names()}
    first = fitting.triple.names()[0]
    own[first] = {"part": part, "steps": torch.tensor(-1.0)}
    return Fitted(model={"steps": torch.tensor(float(steps))}, tensors=own)
'''
REFERENCE = Fitted(model={"x": torch.ones(2)})


def test_fit_gets_what_it_needs_and_merge_gets_it_back(drop: Drop, triple: Triple) -> None:
    drop("fitted_a", FITTED)
    method = methods.find("fitted_a")
    assert method.needs == {"calibration", "reference"}
    assert method.stochastic
    assert method.validate({"steps": 2}) == {"steps": 2}
    fitting = Fitting(triple, calibration=torch.ones(2), reference=REFERENCE)
    fitted = method.run_fit(fitting, {"steps": 2})
    recipe = Recipe.make(triple, "fitted_a", {"steps": 2}, fitted=fitted)
    first = triple.names()[0]
    for name, tensor in merge(triple, recipe, fitted):
        own = -1.0 if name == first else 2.0  # a tensor's own entry over that of the whole model
        assert torch.equal(tensor, triple.read("vlm", name) + own + 4.0)
    with pytest.raises(
        UserError, match=r"has no fitted 'part' for .*bias: .* the scope that it was fitted for"
    ):
        list(merge(triple, Recipe.make(triple, "fitted_a", scope="mat+bias", fitted=fitted), fitted))


def test_fit_without_what_it_needs(drop: Drop, triple: Triple) -> None:
    drop("fitted_b", FITTED)
    with pytest.raises(UserError, match="needs calibration questions"):
        methods.find("fitted_b").run_fit(Fitting(triple, reference=REFERENCE), {})
    with pytest.raises(UserError, match=r"needs what another variant learned.*`reference:`"):
        methods.find("fitted_b").run_fit(Fitting(triple, calibration=torch.ones(2)), {})
    with pytest.raises(UserError, match="evolve_layers needs scores on dev questions"):
        methods.find("evolve_layers").run_fit(Fitting(triple), {})


def test_nan_in_what_was_fitted(drop: Drop, triple: Triple) -> None:
    drop("fitted_nan", FITTED.replace("float(steps)", "float('nan')"))
    with pytest.raises(UserError, match="fitted NaN or infinite values for steps"):
        methods.find("fitted_nan").run_fit(
            Fitting(triple, calibration=torch.ones(2), reference=REFERENCE), {}
        )


def test_sites_hold_the_three_models_and_their_differences(triple: Triple) -> None:
    fitting = methods.find("frism").equip(Fitting(triple, scope="mat+bias"))
    seen = []
    for site in fitting.sites():
        seen.append(site.name)
        assert not site.arrays, "nothing is read that is not asked for"
        assert torch.equal(site.tau_r, triple.read("lrm", site.name) - triple.read("base", site.name))
        assert set(site.arrays) == {"lrm", "base"}
        assert (site.layer, site.layers) == (triple.layer(site.name), triple.layers)
        assert (site.spectrum is None) == (site.vlm.ndim == 1)
    assert seen == triple.names("mat+bias")
    with pytest.raises(UserError, match="add 'dev' to the method's NEEDS"):
        fitting.score(REFERENCE)


def test_generators_differ_by_name_and_seed_only() -> None:
    def draw(seed: int, name: str) -> list[float]:
        return torch.rand(4, generator=seeds.make_generator(seed, name)).tolist()

    assert draw(0, "a") == draw(0, "a")
    assert len({tuple(draw(seed, name)) for seed in (0, 1) for name in "ab"}) == 4
