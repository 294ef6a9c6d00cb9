"""FRISM and its controls: limits of the gates, learning without labels, equal norms."""

from types import SimpleNamespace

import pytest
import torch

from frism.method.fitted import Fitted
from frism.method.site import Site
from frism.methods import frism, frism_matrix, frism_shuffled, frism_uniform
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum, decompose
from frism.triples.triple import Triple
from tests.support.fits import fit

PARAMS = {"strength": 1.2}


def learned(triple: Triple, calibration: SimpleNamespace, **params: float) -> dict[str, torch.Tensor]:
    return fit("frism", triple, params, calibration=calibration).flatten()


@pytest.fixture(scope="module")
def fitted(triple: Triple, calibration: SimpleNamespace) -> dict[str, torch.Tensor]:
    return learned(triple, calibration, **PARAMS, alpha=0.3, steps=6, batch=4, max_new_tokens=4)


def spectrum(t: dict[str, torch.Tensor]) -> Spectrum:
    return decompose(t["lrm"] - t["base"])


def tensors(triple: Triple, name: str) -> dict[str, torch.Tensor]:
    return {role: triple.read(role, name) for role in ("base", "vlm", "lrm")}


def injection_of(triple: Triple, name: str, fitted: dict[str, torch.Tensor]) -> torch.Tensor:
    t = tensors(triple, name)
    return frism.merge(
        Site.of(**t, spectrum=spectrum(t), fitted={"open": fitted[f"{name}/open"]}), strength=1.2
    )


@pytest.mark.parametrize(("logit", "share"), [(40.0, 1.0), (0.0, 0.5), (-40.0, 0.0)])
def test_limits_of_the_gates_are_plain_injection(triple: Triple, logit: float, share: float) -> None:
    for name in triple.names("mat")[:7]:
        t = tensors(triple, name)
        gate = torch.full((min(t["vlm"].shape),), logit)
        expected = t["vlm"] + 1.2 * share * (t["lrm"] - t["base"])
        torch.testing.assert_close(
            frism.merge(
                Site.of(**t, spectrum=spectrum(t), fitted={"open": torch.sigmoid(gate)}), strength=1.2
            ),
            expected,
            atol=1e-5,
            rtol=1e-4,
        )


def test_every_matrix_gets_a_gate_per_direction_and_a_curve(triple: Triple, fitted: dict) -> None:
    gates = {k: v for k, v in fitted.items() if k.endswith("/open")}
    assert set(gates) == {f"{n}/open" for n in triple.names("mat")}
    assert all(len(g) == min(triple.read("vlm", k.removesuffix("/open")).shape) for k, g in gates.items())
    assert fitted["curve/kl"].shape == (6,)
    assert fitted["curve/injected_energy"][0] == pytest.approx(0.25)


def test_learning_repeats_bit_for_bit(triple: Triple, calibration: SimpleNamespace, fitted: dict) -> None:
    again = learned(triple, calibration, **PARAMS, alpha=0.3, steps=6, batch=4, max_new_tokens=4)
    assert all(torch.equal(v, again[k]) for k, v in fitted.items())


def test_without_reward_gates_close_and_without_kl_they_open(
    triple: Triple, calibration: SimpleNamespace
) -> None:
    settings = {"strength": 1.0, "steps": 12, "batch": 8, "max_new_tokens": 3, "lr": 0.08}
    closing = learned(triple, calibration, alpha=0.0, **settings)
    opening = learned(triple, calibration, alpha=1e4, **settings)
    assert closing["curve/kl"][-1] < closing["curve/kl"][0]
    assert closing["curve/gate_q50"][-1] < 0.5
    assert opening["curve/gate_q10"][-1] > 0.55


def control(kind: str, triple: Triple, fitted: dict[str, torch.Tensor]) -> Fitted:
    reference = Fitted.from_flat(fitted, PARAMS)
    return fit(kind, triple, {}, reference=reference, spectra=Spectra(triple), seed=0)


def test_uniform_control_has_the_same_norm(triple: Triple, fitted: dict) -> None:
    own = control("frism_uniform", triple, fitted)
    assert own.flatten().keys() == {"factor"}, "one number of the whole model"
    deltas: list[list[torch.Tensor]] = [[], []]
    for name in triple.names("mat"):
        t = tensors(triple, name)
        deltas[0].append((injection_of(triple, name, fitted) - t["vlm"]).flatten())
        deltas[1].append((frism_uniform.merge(Site.of(**t, fitted=own.select(name))) - t["vlm"]).flatten())
    norm = [torch.cat(delta).norm() for delta in deltas]
    torch.testing.assert_close(norm[0], norm[1], rtol=1e-4, atol=1e-6)


def test_matrix_control_has_the_same_norm_in_every_matrix(triple: Triple, fitted: dict) -> None:
    own = control("frism_matrix", triple, fitted)
    for name in triple.names("mat"):
        t = tensors(triple, name)
        injected = injection_of(triple, name, fitted) - t["vlm"]
        delta = frism_matrix.merge(Site.of(**t, fitted=own.select(name))) - t["vlm"]
        torch.testing.assert_close(delta.norm(), injected.norm(), rtol=1e-3, atol=1e-6)


def test_shuffled_control_moves_the_gates_and_keeps_their_values(triple: Triple, fitted: dict) -> None:
    own = control("frism_shuffled", triple, fitted)
    moved = 0
    for name in triple.names("mat"):
        original, shuffled = 1.2 * fitted[f"{name}/open"], own.tensors[name]["open"]
        torch.testing.assert_close(shuffled.sort().values, original.sort().values)
        moved += not torch.equal(shuffled, original)
    assert moved > len(triple.names("mat")) // 2
    name = triple.names("mat")[0]
    t = tensors(triple, name)
    result = frism_shuffled.merge(Site.of(**t, spectrum=spectrum(t), fitted=own.select(name)))
    torch.testing.assert_close(result, t["vlm"] + spectrum(t).gate(own.tensors[name]["open"]))
