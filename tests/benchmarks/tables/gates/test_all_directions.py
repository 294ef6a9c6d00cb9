"""Directions of tau_R within tau_V's leading subspace: against numpy, kept files, tails."""

import numpy as np
import pytest
import torch

from benchmarks.tables.gates import leading_subspace as leading_module
from benchmarks.tables.gates.all_directions import AllDirections
from benchmarks.tables.gates.leading_subspace import find_leading_subspace
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra

NAME = "layers.0.mlp.down_proj.weight"


def decaying(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    u = torch.linalg.qr(torch.randn(rows, min(rows, columns), generator=generator)).Q
    v = torch.linalg.qr(torch.randn(columns, min(rows, columns), generator=generator)).Q
    return (u * torch.arange(1, min(rows, columns) + 1) ** -0.7) @ v.T


def arrays(triple, name):
    base, vlm, lrm = (triple.read(role, name).double().numpy() for role in ("base", "vlm", "lrm"))
    return vlm - base, lrm - base


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50)])
def test_leading_holds_half(shape):
    matrix = decaying(*shape)
    found = find_leading_subspace(matrix, NAME)
    s = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    shares = np.cumsum(s**2) / (s**2).sum()
    assert len(found.vh) == np.searchsorted(shares, 0.5) + 1
    assert found.held == pytest.approx(shares[len(found.vh) - 1], abs=1e-5) and found.held >= 0.5
    for basis in (found.u.T, found.vh):
        assert torch.allclose(basis @ basis.T, torch.eye(len(basis)), atol=1e-5)


def test_seeking_a_few_finds_what_the_whole_spectrum_holds(monkeypatch):
    matrix = decaying(300, 200)
    exact = find_leading_subspace(matrix, NAME)
    monkeypatch.setattr(leading_module, "EXACT", 10)
    monkeypatch.setattr(leading_module, "FIRST", 2)  # has to be doubled
    found = find_leading_subspace(matrix, NAME)
    assert len(found.vh) == len(exact.vh) and found.held == pytest.approx(exact.held, abs=5e-3)
    inside = (exact.vh @ found.vh.T).square().sum() / len(exact.vh)
    assert inside > 0.95
    assert torch.equal(found.vh, find_leading_subspace(matrix, NAME).vh)
    monkeypatch.setattr(leading_module, "LARGEST", 2)  # not enough for half
    few = find_leading_subspace(matrix, NAME)
    assert len(few.vh) == 2 and few.held < 0.5


def test_nothing_leads_in_nothing():
    found = find_leading_subspace(torch.zeros(6, 9), NAME)
    assert found.u.shape == (6, 0) and found.vh.shape == (0, 9) and found.held == 0


def test_overlaps_are_projections(triple):
    own = AllDirections(Spectra(triple)).of(NAME)
    tau_v, tau_r = arrays(triple, NAME)
    u, s, _ = np.linalg.svd(tau_r, full_matrices=False)
    uv, _, vhv = np.linalg.svd(tau_v, full_matrices=False)
    assert own.s == pytest.approx(s, rel=1e-3, abs=1e-5) and own.shape == tau_r.shape
    assert own.total == pytest.approx((tau_r**2).sum(), rel=1e-5)
    left, right = uv[:, : own.leading], vhv[: own.leading]
    assert own.left[:20] == pytest.approx(((left.T @ u) ** 2).sum(0)[:20], abs=2e-2)
    # Whole updates do not depend on how near-equal directions were told apart.
    for own_side, inside in ((own.left, left.T @ tau_r), (own.right, tau_r @ right.T)):
        assert (own.s**2) @ own_side == pytest.approx((inside**2).sum(), rel=1e-4)


def test_a_tail_is_the_rest(triple):
    whole = AllDirections(Spectra(triple)).of(NAME)
    cut = AllDirections(Spectra(triple, SpectrumSettings(rank=8, solver="gesdd"))).of(NAME)
    assert len(cut.s) == 8 and cut.total == pytest.approx(whole.total, rel=1e-5)
    for side in ("left", "right"):
        parts = (cut.s**2) @ getattr(cut, side) + cut.tail * getattr(cut, f"tail_{side}")
        assert parts == pytest.approx((whole.s**2) @ getattr(whole, side), rel=1e-4)


def test_what_was_computed_is_kept(triple, tmp_path, monkeypatch):
    made = AllDirections(Spectra(triple), tmp_path).of(NAME)
    (kept,) = tmp_path.glob("*/*.safetensors")

    def fail(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(Spectra, "load", fail)
    read = AllDirections(Spectra(triple), tmp_path).of(NAME)
    assert (read.left == made.left).all() and (read.s == made.s).all()
    assert (read.leading, read.held, read.shape, read.tail) == (
        made.leading,
        made.held,
        made.shape,
        made.tail,
    )
    with pytest.raises(AssertionError):  # other settings, other directions
        AllDirections(Spectra(triple, SpectrumSettings(rank=4)), tmp_path).of(NAME)
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(AssertionError):
        AllDirections(Spectra(triple), tmp_path).of(NAME)
