"""FRISM's controls on what every gate method fits: equal norms, tails and all."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from frism.merging.on_load import measure_injected_norms
from frism.method import discovery as methods
from frism.method.recipe import Recipe
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple
from tests.support.fits import fit

SHORT = {"strength": 0.8, "steps": 3, "batch": 8, "max_new_tokens": 2, "lr": 0.3, "alpha": 0.3, "samples": 1}
REFERENCES = ["frism", "frism_signed", "frism_layer", "frism_closed_form", "frism_random"]


@pytest.mark.parametrize(("name", "rank"), [("frism", None), *((name, 5) for name in REFERENCES)])
def test_uniform_and_matrix_controls_inject_what_their_reference_does(
    name: str, rank: int | None, triple: Triple, calibration: SimpleNamespace
) -> None:
    settings, method = SpectrumSettings(rank=rank), methods.find(name)
    spectra = Spectra(triple, settings)
    params = {key: value for key, value in SHORT.items() if key in method.parameters}
    fitted = fit(name, triple, params, calibration=calibration, spectra=spectra)
    recipe = Recipe.make(triple, name, params, spectrum=settings, fitted=fitted)
    expected = measure_injected_norms(triple, recipe, fitted)

    def control(kind: str) -> dict[str, float]:
        own = fit(kind, triple, {}, reference=replace(fitted, params=recipe.params), spectra=spectra)
        return measure_injected_norms(triple, Recipe.make(triple, kind, spectrum=settings, fitted=own), own)

    assert control("frism_matrix") == pytest.approx(expected, rel=2e-3, abs=1e-5)
    total = torch.tensor(list(expected.values())).norm().item()
    uniform = torch.tensor(list(control("frism_uniform").values())).norm().item()
    assert uniform == pytest.approx(total, rel=2e-3)
    assert total > 0


def test_shuffling_leaves_the_tail_where_it_is(triple: Triple, calibration: SimpleNamespace) -> None:
    spectra = Spectra(triple, SpectrumSettings(rank=5))
    params = {key: value for key, value in SHORT.items() if key != "samples"}
    fitted = fit("frism", triple, params, calibration=calibration, spectra=spectra)
    shuffled = fit("frism_shuffled", triple, {}, reference=replace(fitted, params=params), seed=1)
    assert shuffled.tensors.keys() == fitted.tensors.keys()
    for name, own in shuffled.tensors.items():
        assert own.keys() == {"open", "open_tail"}
        torch.testing.assert_close(own["open_tail"], 0.8 * fitted.tensors[name]["open_tail"])


@pytest.mark.parametrize("kind", ["frism_matrix", "frism_shuffled"])
def test_controls_with_a_strength_of_their_own_are_the_controls_at_strength_1(
    kind: str, triple: Triple, calibration: SimpleNamespace
) -> None:
    spectra = Spectra(triple, SpectrumSettings())
    params = {key: value for key, value in SHORT.items() if key != "samples"}
    fitted = fit("frism", triple, params, calibration=calibration, spectra=spectra)
    reference = replace(fitted, params=params)

    def norms(name: str, **own: float) -> dict[str, float]:
        made = fit(name, triple, {}, reference=reference, spectra=spectra)
        recipe = Recipe.make(triple, name, own, spectrum=SpectrumSettings(), fitted=made)
        return measure_injected_norms(triple, recipe, made)

    plain, scaled = norms(kind), norms(f"{kind}_scaled", strength=1.0)
    assert scaled == pytest.approx(plain, rel=1e-5) and sum(plain.values()) > 0
    half = norms(f"{kind}_scaled", strength=0.5)
    assert half == pytest.approx({name: norm / 2 for name, norm in plain.items()}, rel=1e-4, abs=1e-6)
    assert not any(norms(f"{kind}_scaled", strength=0.0).values())
