"""FRISM's controls on what every gate method fits: equal norms, tails and all."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from frism.merging.on_load import injected_norms
from frism.method import discovery as methods
from frism.method.recipe import Recipe
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

SHORT = {"strength": 0.8, "steps": 3, "batch": 8, "max_new_tokens": 2, "lr": 0.3, "alpha": 0.3, "samples": 1}
REFERENCES = ["frism", "frism_signed", "frism_layer", "frism_closed_form", "frism_random"]


@pytest.mark.parametrize(("name", "rank"), [("frism", None), *((name, 5) for name in REFERENCES)])
def test_uniform_and_matrix_controls_inject_what_their_reference_does(
    name: str, rank: int | None, triple: Triple, calibration: SimpleNamespace
) -> None:
    settings, method = SpectrumSettings(rank=rank), methods.find(name)
    spectra = Spectra(triple, settings)
    params = {key: value for key, value in SHORT.items() if key in method.parameters}
    fitted = method.run_fit(triple, params, calibration=calibration, spectra=spectra)
    recipe = Recipe.make(triple, name, params, spectrum=settings, fitted=fitted)
    expected = injected_norms(triple, recipe, fitted)

    def control(kind: str) -> dict[str, float]:
        own: dict[str, Tensor] = methods.find(kind).run_fit(
            triple, {}, reference=fitted, reference_params=recipe.params, spectra=spectra
        )
        return injected_norms(triple, Recipe.make(triple, kind, spectrum=settings, fitted=own), own)

    assert control("frism_matrix") == pytest.approx(expected, rel=2e-3, abs=1e-5)
    total = torch.tensor(list(expected.values())).norm().item()
    uniform = torch.tensor(list(control("frism_uniform").values())).norm().item()
    assert uniform == pytest.approx(total, rel=2e-3)
    assert total > 0


def test_shuffling_leaves_the_tail_where_it_is(triple: Triple, calibration: SimpleNamespace) -> None:
    spectra = Spectra(triple, SpectrumSettings(rank=5))
    params = {key: value for key, value in SHORT.items() if key != "samples"}
    fitted = methods.find("frism").run_fit(triple, params, calibration=calibration, spectra=spectra)
    shuffled = methods.find("frism_shuffled").run_fit(
        triple, {}, reference=fitted, reference_params=params, seed=1
    )
    assert {key for key in fitted if not key.startswith("curve/")} == set(shuffled)
    for key, value in shuffled.items():
        if key.endswith("/open_tail"):
            torch.testing.assert_close(value, 0.8 * fitted[key])
