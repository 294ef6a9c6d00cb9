"""Every method file keeps the contract (frism.method.contract), on a real triple; what only a model shows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from frism.errors import UserError
from frism.merging.on_load import apply, load, merge
from frism.method import contract, discovery
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores, Fitting
from frism.method.recipe import Recipe
from frism.method.site import Site
from frism.seeds import make_generator
from frism.triples.triple import Triple

# Enough to run a fit through, not to learn anything.
SHORT = {"steps": 2, "batch": 4, "max_new_tokens": 4, "samples": 1, "evaluations": 6, "questions": 4}
SHORT_FRISM = {"steps": 2, "batch": 4, "max_new_tokens": 4}
Prepared = tuple[Fitting, dict[str, Any], Recipe, Fitted]

every_method = pytest.mark.parametrize("name", discovery.list_names())
MERGING = [name for name in discovery.list_names() if not discovery.find(name).mix]
every_merge = pytest.mark.parametrize("name", MERGING)
# Those that can be fitted and merged on any tensors, without a model and its answers.
ON_TENSORS = [n for n in discovery.list_names() if not discovery.find(n).needs & {"calibration", "reference"}]


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
def test_a_method_is_cited_and_says_in_what_it_deviates(name: str) -> None:
    doc = " ".join(discovery.find(name).doc.split())
    assert re.search(r"arXiv [0-9]{4}\.[0-9]{5}|\b(19|20)[0-9]{2}\b|of this project|receiver itself", doc)
    assert re.search(r"[Dd]eviation|of this project|receiver itself|the analysis behind", doc)


@every_method
def test_values_out_of_range_are_refused_at_planning(name: str) -> None:
    """`validate` is what a plan calls for every point of every grid."""
    method = discovery.find(name)
    for parameter in method.parameters.values():
        for key, limit in parameter.bounds.items():
            step = 1 if parameter.plain is int else 0.5
            outside = limit - step if key in ("ge", "gt") else limit + step
            with pytest.raises(UserError, match=f"parameter '{parameter.name}' must be"):
                method.validate({parameter.name: parameter.plain(outside)})
            if key in ("gt", "lt"):
                with pytest.raises(UserError, match=f"parameter '{parameter.name}' must be"):
                    method.validate({parameter.name: parameter.plain(limit)})
        if parameter.choices:
            with pytest.raises(UserError, match="must be one of"):
                method.validate({parameter.name: "no such choice"})


def low_rank(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if len(shape) < 2:
        return torch.randn(shape, generator=generator)
    return torch.outer(*(torch.randn(size, generator=generator) for size in shape))


# What is added to B to make V and R.
DEGENERATE: dict[str, Callable[[tuple[int, ...], torch.Generator], tuple[torch.Tensor, torch.Tensor]]] = {
    "rank one": lambda shape, g: (low_rank(shape, g), low_rank(shape, g)),
    "one direction for both": lambda shape, g: (2 * (both := low_rank(shape, g)), both),
    "V is B": lambda shape, g: (torch.zeros(shape), torch.randn(shape, generator=g)),
    "R is B": lambda shape, g: (torch.randn(shape, generator=g), torch.zeros(shape)),
    "R is V": lambda shape, g: (2 * [torch.randn(shape, generator=g)], )[0],
    "opposite": lambda shape, g: ((one := torch.randn(shape, generator=g)), -one),
    "tiny": lambda shape, g: tuple(1e-18 * torch.randn(shape, generator=g) for _ in range(2)),
    "huge": lambda shape, g: tuple(1e12 * torch.randn(shape, generator=g) for _ in range(2)),
    "one entry": lambda shape, g: tuple(
        torch.zeros(shape).index_put_(tuple(torch.tensor(place % size) for size in shape), torch.tensor(1.0))
        for place in (0, 1)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class DegenerateFitting(contract.TrialFitting):
    """The contract's small tensors with other task vectors."""

    kind: str = ""

    def sites(self) -> Iterator[Site]:
        for site in super().sites():
            generator = make_generator(2, site.name)
            base = torch.zeros(site.base.shape) if self.kind in ("tiny", "huge") else site.base
            added = DEGENERATE[self.kind](tuple(base.shape), generator)
            roles = dict(zip(("vlm", "lrm"), added, strict=True))
            arrays = {"base": base} | {role: base + tau for role, tau in roles.items()}
            yield Site(
                arrays.__getitem__, name=site.name, layer=site.layer, layers=site.layers,
                spectrum=partial(contract._decompose_matrix, arrays, base),
                rng=partial(make_generator, self.seed, site.name),
            )  # fmt: skip


@pytest.mark.parametrize("name", ON_TENSORS)
@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_task_vectors_give_finite_tensors(name: str, kind: str) -> None:
    method, fitting = discovery.find(name), DegenerateFitting(kind=kind)
    fitting = replace(fitting, scorer=fitting.score)
    params = method.validate({key: value for key, value in SHORT.items() if key in method.parameters})
    fitted = method.run_fit(fitting, params)
    for site in fitting.sites():
        arrays = {role: site.array(role) for role in ("base", "vlm", "lrm")}
        whole = contract._make_site(method, site, fitted.select(site.name), arrays)
        merged = method.run_merge(whole, params)  # raises where a value is not finite
        if kind == "R is B" and method.identity is not None:
            # What is injected is nothing; a method that shrinks V itself may move towards B.
            assert (merged - site.vlm).norm() <= 1.01 * (site.vlm - site.base).norm() + 1e-6


@pytest.mark.parametrize("name", [name for name in discovery.list_names() if name not in ON_TENSORS])
def test_a_donor_that_is_the_base_merges_on_real_files(
    name: str, triple: Triple, calibration: Any, triple_folders: dict[str, Path]
) -> None:
    method = discovery.find(name)
    same = Triple.open(triple_folders["base"], triple_folders["vlm"], triple_folders["base"])
    fitting = Fitting(same, calibration=calibration, scorer=worth)
    if "reference" in method.needs:
        frism = discovery.find("frism").run_fit(fitting, SHORT_FRISM)
        fitting = replace(fitting, reference=replace(frism, params=discovery.find("frism").validate({})))
    params = {key: value for key, value in SHORT.items() if key in method.parameters}
    fitted = method.run_fit(fitting, params)
    for _, merged in merge(same, Recipe.make(same, name, params, fitted=fitted), fitted):
        assert torch.isfinite(merged).all()


@every_merge
def test_order_of_tensors_does_not_matter(
    name: str, triple: Triple, prepare: Callable[[str], Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, recipe, fitted = prepare(name)
    forward = dict(merge(triple, recipe, fitted))
    reverse = triple.names()[::-1]
    monkeypatch.setattr(triple, "names", lambda scope=None: reverse)
    backward = dict(merge(triple, recipe, fitted))
    assert all(torch.equal(forward[key], backward[key]) for key in forward)


@every_merge
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
