"""A whole fit: nothing but pictures and questions is read, the VLM's dtype and place are free, files tell."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch

from frism.compute import Compute
from frism.errors import UserError
from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method.fitting import Fitting
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


def fit(
    triple: Triple, calibration: Any, workspace: Path | None = None, **changes: Any
) -> dict[str, torch.Tensor]:
    options: dict[str, Any] = {"gates": Gates(), "compute": Compute(), **changes}
    spectra = Spectra(triple, SpectrumSettings(rank=options.pop("rank", 16)))
    learning = Learning(steps=3, batch=4, max_new_tokens=3, lr=0.05, tail_every=2)
    fitting = Fitting(
        triple, spectra=spectra, calibration=calibration, workspace=workspace, compute=options.pop("compute")
    )
    return learn(fitting, options.pop("gates"), 1.0, learning, **options).flatten()


@pytest.fixture(scope="module")
def plain(triple: Triple, calibration: SimpleNamespace) -> dict[str, torch.Tensor]:
    return fit(triple, calibration)


class Poisoned:
    """Calibration data with labels that must not be touched."""

    digest = "a digest"

    def __init__(self, questions: Any) -> None:
        self.questions = questions

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was read")


def test_labels_are_never_read(
    triple: Triple, calibration: SimpleNamespace, plain: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    found = fit(triple, Poisoned(calibration.questions), tmp_path)
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    (curve,) = tmp_path.glob("gates-*/learning.csv")
    lines = curve.read_text().splitlines()
    assert lines[0] == "step,kl,injected_energy,gate_q10,gate_q50,gate_q90"
    assert [float(line.split(",")[1]) for line in lines[1:]] == pytest.approx(
        plain["curve/kl"].tolist(), rel=1e-5
    )


def test_fractions_are_fp32_with_one_per_direction_and_a_tail(
    triple: Triple, plain: dict[str, torch.Tensor]
) -> None:
    assert {key for key in plain if "/open" in key} == {
        f"{name}/{part}" for name in triple.names("mat") for part in ("open", "open_tail")
    }
    assert all(value.dtype == torch.float32 for value in plain.values())
    assert all(plain[f"{name}/open"].shape == (16,) for name in triple.names("mat"))
    assert all(plain[f"{name}/open_tail"] != 0.5 for name in triple.names("mat"))


def test_a_model_in_half_precision_learns_nearly_the_same(
    triple: Triple, calibration: SimpleNamespace, plain: dict[str, torch.Tensor]
) -> None:
    found = fit(triple, calibration, compute=Compute(dtype="bfloat16"))
    assert found["curve/kl"][0].item() == pytest.approx(plain["curve/kl"][0].item(), rel=0.2)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in found.values())


def test_a_device_map_changes_nothing(
    triple: Triple, calibration: SimpleNamespace, plain: dict[str, torch.Tensor]
) -> None:
    pytest.importorskip("accelerate")
    found = fit(triple, calibration, compute=Compute(device_map={"": "cpu"}))
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize("gates", [Gates("free"), Gates(block=5), Gates(shared=True)])
def test_every_kind_of_gates_is_learned(triple: Triple, calibration: SimpleNamespace, gates: Gates) -> None:
    found = fit(triple, calibration, gates=gates)
    for name in triple.names("mat"):
        opened = found[f"{name}/open"]
        assert len(opened.unique()) <= gates.count(16)
        if gates.shared:
            assert (opened == found[f"{name}/open_tail"]).all()


def test_a_text_model_has_no_pictures_to_learn_from(
    triple_folders: dict[str, Path], calibration: SimpleNamespace
) -> None:
    folders = triple_folders | {"vlm": triple_folders["base"]}
    with pytest.raises(UserError, match="is a text model, but gates are learned on pictures"):
        fit(Triple.open(**folders, text_receiver=True), calibration)
