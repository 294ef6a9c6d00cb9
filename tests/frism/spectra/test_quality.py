"""What is stored about a decomposition is what an independent computation finds on the stored factors."""

import numpy as np
import pytest
import torch

from frism.spectra import quality
from frism.spectra.quality import decompose_and_measure, orthogonality, residual
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum
from tests.frism.spectra.matrices import KINDS, make


def in_numpy(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return spectrum.u.double().numpy(), spectrum.s.double().numpy(), spectrum.vh.double().numpy()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_directions(kind: str, dtype: str) -> None:
    tau = make(kind, 70, 40)
    spectrum, found = decompose_and_measure(tau, SpectrumSettings(dtype=dtype))
    u, s, vh = in_numpy(spectrum)
    exact = tau.double().numpy()
    missed = np.linalg.norm(exact - (u * s) @ vh) / (np.linalg.norm(exact) or 1)
    departure = max(np.abs(x - np.eye(40)).max() for x in (u.T @ u, vh @ vh.T))
    assert found.residual == pytest.approx(missed, rel=0.01, abs=1e-6)
    assert found.orthogonality == pytest.approx(departure, rel=0.01, abs=1e-6)
    assert (found.tail, found.solver, found.device) == (0, "gesdd", "cpu")
    assert found.seconds > 0
    assert found.residual < (5e-6 if dtype == "float32" else 5e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", sorted({*KINDS} - {"tiny", "huge"}))  # whose squares leave fp32
def test_truncated(kind: str, dtype: str) -> None:
    tau = make(kind, 70, 40)
    spectrum, found = decompose_and_measure(tau, SpectrumSettings(rank=6, dtype=dtype, solver="gesdd"))
    assert spectrum.tail is not None
    assert spectrum.tail.dtype == torch.float32
    u, s, vh = in_numpy(spectrum)
    exact = tau.double().numpy()
    norm = np.linalg.norm(exact) or 1
    rest = exact - (u * s) @ vh
    assert found.tail == pytest.approx(np.linalg.norm(rest) / norm, rel=1e-3, abs=1e-5)
    along = np.einsum("ik,ij,kj->k", u, rest, vh)
    assert found.residual == pytest.approx(np.linalg.norm(along) / norm, rel=0.02, abs=1e-5)
    assert found.residual < (1e-5 if dtype == "float32" else 5e-3)


def test_large_matrices_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    tau = make("flat", 300, 200)
    spectrum = decompose_and_measure(tau, SpectrumSettings(dtype="bfloat16"))[0]
    exact = residual(tau, spectrum)
    monkeypatch.setattr(quality, "EXACT", 100)
    assert residual(tau, spectrum) == pytest.approx(exact, rel=0.03)
    # The worst case: what is missed is one direction.
    lost = Spectrum(spectrum.u, spectrum.s.clone(), spectrum.vh)
    lost.s[0] = 0
    probed = residual(tau, lost)
    monkeypatch.undo()
    assert probed == pytest.approx(residual(tau, lost), rel=0.3)


def test_one_direction_that_leans_is_seen() -> None:
    spectrum = decompose_and_measure(make("flat", 90, 33), SpectrumSettings())[0]
    for leaning in (spectrum.u, spectrum.vh.T):
        before = leaning[:, 20].clone()
        leaning[:, 20] += 0.01 * leaning[:, 3]
        assert orthogonality(spectrum) == pytest.approx(0.01, rel=1e-3)
        leaning[:, 20] = before
