"""Gates in closed form: the curvature is the KL's own, and a gate opens by the stated rule."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from frism.compute import Compute
from frism.distillation.examples import make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.gates.learner import gate_model
from frism.gates.parametrisation import Gates
from frism.merging.on_load import merge
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.methods import frism_closed_form
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple
from tests.support.fits import fit

RANK = 6
SHORT = {"strength": 1.0, "samples": 2, "batch": 4, "max_new_tokens": 3}
Flat = dict[str, Tensor]


def estimated(
    triple: Triple, calibration: SimpleNamespace, *, rank: int | None = RANK, **params: Any
) -> Flat:
    spectra = Spectra(triple, SpectrumSettings(rank=rank))
    given = {**SHORT, **params}
    return fit("frism_closed_form", triple, given, calibration=calibration, spectra=spectra).flatten()


def openings(fitted: Flat) -> Tensor:
    return torch.cat([v.flatten() for k, v in sorted(fitted.items()) if k.endswith(("/open", "/open_tail"))])


@pytest.fixture(scope="module")
def fitted(triple: Triple, calibration: SimpleNamespace) -> Flat:
    return estimated(triple, calibration, alpha=0.05)


def test_a_gate_is_open_exactly_where_kl_per_energy_is_below_alpha(triple: Triple, fitted: Flat) -> None:
    spectra = Spectra(triple, SpectrumSettings(rank=RANK))
    found = {name: spectra.load(name) for name in triple.names("mat")}
    total = sum(spectrum.total for spectrum in found.values())
    for name, spectrum in found.items():
        expected = fitted[f"{name}/curvature"] / 2 < 0.05 * spectrum.s.square() / total
        assert torch.equal(fitted[f"{name}/open"], expected.float())
        tail = fitted[f"{name}/curvature_tail"] / 2 < 0.05 * spectrum.tail / total
        assert torch.equal(fitted[f"{name}/open_tail"], tail.float())
    assert 0 < openings(fitted).mean() < 1
    energy = sum(s.energy(fitted[f"{n}/open"], fitted[f"{n}/open_tail"]) for n, s in found.items()) / total
    assert fitted["curve/injected_energy"].item() == pytest.approx(energy.item(), rel=1e-4)


def test_curvature_is_twice_the_kl_of_a_small_step(triple: Triple, calibration: SimpleNamespace) -> None:
    """KL(V || V + c * direction) = h c^2 / 2 for small c, measured on the model in float64."""
    compute = Compute(dtype="float64")
    spectra = Spectra(triple, SpectrumSettings(rank=RANK))
    fitted = fit(
        "frism_closed_form", triple, {**SHORT, "samples": 10},
        calibration=calibration, spectra=spectra, compute=compute,
    ).flatten()  # fmt: skip
    receiver = Receiver.load(triple, compute)
    examples, _ = make_examples(
        receiver, calibration.questions, TeacherSettings(SHORT["max_new_tokens"]), batch=8, batches=1
    )  # fmt: skip
    injection = gate_model(receiver, spectra, strength=1.0, gates=Gates("free"), compute=compute)
    step, ratios = 1e-2, []
    for name in triple.names("mat")[::6]:
        for part, logits in (
            ("curvature", injection.logits[name]),
            ("curvature_tail", injection.tails[name]),
        ):
            with torch.no_grad(), injection.apply():
                for parameter in injection.parameters():
                    parameter.zero_()
                logits.view(-1)[0] = step
                measured = 2 * examples[0].divergence(receiver).item() / step**2
            ratios.append(fitted[f"{name}/{part}"].view(-1)[0].item() / measured)
    # 20 draws each: a standard error of 32 % for questions that are alike.
    assert all(0.2 < ratio < 2.5 for ratio in ratios)
    assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.3)


def test_more_opens_with_alpha_from_nothing_to_everything(
    triple: Triple, calibration: SimpleNamespace, fitted: Flat
) -> None:
    nothing, more, everything = (estimated(triple, calibration, alpha=alpha) for alpha in (0.0, 0.2, 1e9))
    assert openings(nothing).max() == 0
    assert nothing["curve/kl"].item() == pytest.approx(0, abs=1e-6)
    assert openings(everything).min() == 1
    assert everything["curve/injected_energy"].item() == pytest.approx(1)
    assert (openings(fitted) <= openings(more)).all()
    assert openings(fitted).sum() < openings(more).sum()
    recipe = Recipe.make(
        triple,
        "frism_closed_form",
        {"strength": 1.0},
        spectrum=SpectrumSettings(rank=RANK),
        fitted=Fitted.from_flat(everything),
    )
    for name, result in merge(triple, recipe, Fitted.from_flat(everything)):
        base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
        torch.testing.assert_close(result, vlm + (lrm - base), atol=1e-5, rtol=1e-4)


def test_strength_enters_the_curvature_squared(
    triple: Triple, calibration: SimpleNamespace, fitted: Flat
) -> None:
    half = estimated(triple, calibration, strength=0.5)
    for name in triple.names("mat")[:7]:
        torch.testing.assert_close(
            half[f"{name}/curvature"] * 4, fitted[f"{name}/curvature"], rtol=1e-3, atol=0
        )


def test_it_repeats_and_resumes_from_a_workspace(
    triple: Triple, calibration: SimpleNamespace, fitted: Flat, tmp_path: Any
) -> None:
    spectra = Spectra(triple, SpectrumSettings(rank=RANK))
    asked = SimpleNamespace(questions=calibration.questions, digest="eight")
    for _ in range(2):  # the second time the teacher's answers and the curvature are read
        again = fit(
            "frism_closed_form", triple, {**SHORT, "alpha": 0.05},
            calibration=asked, spectra=spectra, workspace=tmp_path,
        ).flatten()  # fmt: skip
        assert again.keys() == fitted.keys()
        assert all(torch.equal(again[key], value) for key, value in fitted.items())
    assert any((tmp_path / "teacher").iterdir())


def test_one_pass_serves_every_alpha(
    triple: Triple, calibration: SimpleNamespace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SimpleNamespace(questions=calibration.questions, digest="eight")
    spectra, passes = Spectra(triple, SpectrumSettings(rank=RANK)), 0
    estimate = frism_closed_form.estimate_curvature

    def counted(*given: Any, **how: Any) -> Any:
        nonlocal passes
        passes += 1
        return estimate(*given, **how)

    monkeypatch.setattr(frism_closed_form, "estimate_curvature", counted)
    shared, alone = (
        [
            fit(
                "frism_closed_form",
                triple,
                {**SHORT, "alpha": alpha},
                calibration=asked,
                spectra=spectra,
                workspace=folder,
            ).flatten()
            for alpha in (0.01, 0.2)
        ]
        for folder in (tmp_path, None)
    )
    assert passes == 1 + 2
    for one, other in zip(shared, alone, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in other)
