"""Variations and ablations of FRISM: what each changes, and that it changes nothing else."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines import inject
from frism.errors import UserError
from frism.merging.on_load import merge
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.method.site import Site
from frism.methods import frism_layer, frism_random
from frism.methods._gated import merge_gated
from frism.spectra.rotation import RotatedSpectra
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple
from tests.support.fits import fit

SHORT = {"strength": 1.0, "steps": 3, "batch": 4, "max_new_tokens": 3, "lr": 0.1}
SEED = 5
Flat = dict[str, Tensor]
Learn = Callable[..., Flat]


@pytest.fixture(scope="module")
def learned(triple: Triple, calibration: SimpleNamespace) -> Learn:
    """Fit a method on the untrained triple, once for every choice of parameters."""
    done: dict[str, Flat] = {}

    def run(method: str, *, rank: int | None = None, asked: Any = None, **params: Any) -> Flat:
        key = f"{method} {rank} {id(asked)} {params}"
        if key not in done:
            spectra = Spectra(triple, SpectrumSettings(rank=rank))
            given = {"calibration": asked or calibration, "spectra": spectra, "seed": SEED}
            done[key] = fit(method, triple, {**SHORT, **params}, **given).flatten()
        return done[key]

    return run


def opened(fitted: Flat) -> Flat:
    return {key.removesuffix("/open"): value for key, value in fitted.items() if key.endswith("/open")}


def equal(first: Flat, second: Flat) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["frism_signed", "frism_blocks", "frism_layer", "frism_no_kl",
                                  "frism_no_injection", "frism_random"])  # fmt: skip
@pytest.mark.parametrize("rank", [None, 5])
def test_every_direction_has_an_open_fraction_and_the_curve_is_there(
    name: str, rank: int | None, triple: Triple, learned: Learn
) -> None:
    fitted = learned(name, rank=rank)
    for matrix in triple.names("mat"):
        whole = min(triple.read("vlm", matrix).shape)
        assert fitted[f"{matrix}/open"].shape == (min(whole, rank or whole),)
        assert (f"{matrix}/open_tail" in fitted) == (rank is not None)
    for quantity in ("kl", "injected_energy", "gate_q10", "gate_q50", "gate_q90"):
        assert fitted[f"curve/{quantity}"].shape == (3,)
    assert fitted["curve/injected_energy"][0] == pytest.approx(0.25, rel=1e-4)


def test_blocks_of_one_are_frism_and_larger_ones_share_a_gate(learned: Learn) -> None:
    assert equal(learned("frism_blocks", size=1), learned("frism"))
    moved = 0
    for values in opened(learned("frism_blocks", size=24)).values():
        for block in values.split(24):
            assert (block == block[0]).all()
        moved += len(values.unique()) == -(-len(values) // 24)
    assert moved > 0


@pytest.mark.parametrize("rank", [None, 5])
def test_one_gate_per_matrix_scales_its_task_vector(rank: int | None, triple: Triple, learned: Learn) -> None:
    fitted = learned("frism_layer", rank=rank)
    spectra = Spectra(triple, SpectrumSettings(rank=rank))
    different = set()
    for name in triple.names("mat")[:7]:
        base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
        own = {key.partition("/")[2]: v for key, v in fitted.items() if key.startswith(f"{name}/")}
        assert all((part == own["open"][0]).all() for part in own.values())
        different.add(own["open"][0].item())
        result = frism_layer.merge(Site.of(base, vlm, lrm, fitted=own), strength=0.7)
        expected = merge_gated(Site.of(base, vlm, lrm), spectra.load(name), own, 0.7)
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)
    assert len(different) > 1


def test_signed_coefficients_leave_the_bounds_of_a_sigmoid(learned: Learn) -> None:
    coefficients = torch.cat(list(opened(learned("frism_signed", lr=0.3)).values()))
    assert coefficients.min() < 0
    assert coefficients.max() > 1


def test_without_kl_the_questions_do_not_matter(learned: Learn, calibration: SimpleNamespace) -> None:
    few = SimpleNamespace(questions=calibration.questions[:4])
    all_of_them, some = learned("frism_no_kl"), learned("frism_no_kl", asked=few)
    assert equal(opened(all_of_them), opened(some))
    assert min(values.min() for values in opened(all_of_them).values()) > 0.5
    assert not torch.equal(all_of_them["curve/kl"], some["curve/kl"])  # measured, not learned from
    assert (all_of_them["curve/kl"] > 0).all()


def test_without_reward_it_is_frism_at_alpha_zero(learned: Learn, triple: Triple) -> None:
    assert equal(learned("frism_no_injection"), learned("frism", alpha=0.0))
    assert Recipe.make(triple, "frism_no_injection").params["alpha"] == 0.0


@pytest.mark.parametrize("rank", [None, 5])
def test_merging_reproduces_the_random_directions_that_were_learned_on(
    rank: int | None, triple: Triple, learned: Learn
) -> None:
    settings = SpectrumSettings(rank=rank)
    fitted = learned("frism_random", rank=rank)
    recipe = Recipe.make(
        triple, "frism_random", {"strength": 1.0}, seed=SEED, spectrum=settings,
        fitted=Fitted.from_flat(fitted),
    )  # fmt: skip
    directions = RotatedSpectra(Spectra(triple, settings), seed=SEED)
    for name, result in merge(triple, recipe, Fitted.from_flat(fitted)):
        base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
        gated = directions.load(name).gate(
            fitted[f"{name}/open"], fitted.get(f"{name}/open_tail"), lrm - base
        )
        torch.testing.assert_close(result, vlm + gated, atol=1e-5, rtol=1e-4)
    other = RotatedSpectra(Spectra(triple, settings), seed=1)
    assert not torch.equal(other.load(name).vh, directions.load(name).vh)


def test_open_random_directions_are_plain_injection(triple: Triple) -> None:
    spectra = Spectra(triple)
    for name in triple.names("mat")[:7]:
        base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
        spectrum = spectra.load(name)
        site = Site.of(base, vlm, lrm, spectrum=spectrum, fitted={"open": torch.ones_like(spectrum.s)})
        result = frism_random.merge(site, strength=0.7)
        torch.testing.assert_close(
            result, inject.merge(Site.of(base, vlm, lrm), strength=0.7), atol=1e-5, rtol=1e-4
        )


def test_controls_of_random_directions_know_their_norms(triple: Triple, learned: Learn) -> None:
    settings = SpectrumSettings(rank=5)
    params = {"strength": 1.0}
    fitted = Fitted.from_flat(learned("frism_random", rank=5), params)
    recipe = Recipe.make(triple, "frism_random", params, seed=SEED, spectrum=settings, fitted=fitted)
    given = {"reference": fitted, "spectra": Spectra(triple, settings)}
    factors = fit("frism_matrix", triple, {}, **given).tensors
    for name, result in merge(triple, recipe, fitted):
        tau = triple.read("lrm", name) - triple.read("base", name)
        injected_norm = (result - triple.read("vlm", name)).norm()
        torch.testing.assert_close(factors[name]["factor"] * tau.norm(), injected_norm, atol=1e-5, rtol=1e-3)
    with pytest.raises(UserError, match="frism_shuffled: the reference's gates sit on random directions"):
        fit("frism_shuffled", triple, {}, **given)
