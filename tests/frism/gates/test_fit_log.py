"""A fit without a terminal tells in its log how far it is and what it reached."""

from types import SimpleNamespace

import pytest

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitting
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


def test_every_part_of_a_fit_has_a_line(
    triple: Triple,
    calibration: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frism.progress.LINE_SECONDS", 0.0)
    spectra = Spectra(triple, SpectrumSettings(rank=4))
    fitting = Fitting(triple, spectra=spectra, calibration=calibration, label="frism, point 1 of 3")
    learn(fitting, Gates(), 1.0, Learning(steps=2, batch=2, max_new_tokens=2))
    lines = capsys.readouterr().err.splitlines()
    assert "teacher answers: 4 of 4, in " in "\n".join(lines)
    steps = [line for line in lines if line.startswith("frism, point 1 of 3: ")]
    assert [line.split(": ")[1].split(",")[0] for line in steps] == ["1 of 2", "2 of 2", "2 of 2"]
    assert all("KL " in line and "injected energy " in line for line in steps)
