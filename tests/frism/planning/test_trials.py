"""Trials: small ones of the kinds that a profile is made of."""

import torch

from frism.planning import trials


def test_rates_are_positive_and_grow_with_the_tokens(monkeypatch):
    monkeypatch.setattr(trials, "LINEAR", ((512, 256), (256, 512)))
    monkeypatch.setattr(trials, "TALL", (512, 256))
    monkeypatch.setattr(trials, "LONG_ENOUGH", 0.01)
    monkeypatch.setattr(trials, "SIDES", (32, 64))
    rates = trials.matmul(torch.float32, "cpu", (1, 64))
    assert 0 < rates[1] < rates[64]
    algebra = trials.algebra("cpu")
    assert set(algebra) == {"product", "gesdd", "eigh", "qr"}
    assert all(rate > 0 for rates in algebra.values() for rate in rates.values())


def test_the_disk_is_read_and_written(monkeypatch, tmp_path):
    monkeypatch.setattr(trials, "FILE", 1 << 24)
    assert all(rate > 0 for rate in trials.disk(tmp_path / "trial"))
    assert (tmp_path / "trial").stat().st_size == 1 << 24


def test_the_machine_has_a_title():
    assert "cores" in trials.title("cpu")
