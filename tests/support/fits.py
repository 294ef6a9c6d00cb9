"""Fit a method on a triple, by name, and count fits."""

from typing import Any

import pytest

from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.fitting import Fitting
from frism.method.method import Method
from frism.triples.triple import Triple


def fit(method: str, triple: Triple, params: dict[str, Any], **given: Any) -> Fitted:
    """`given`: what the method needs (calibration, reference, ...), spectra, seed, workspace, compute."""
    return find(method).run_fit(Fitting(triple, **given), params)


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the methods that are fitted from now on."""
    original, fits = Method.run_fit, []
    monkeypatch.setattr(
        Method, "run_fit", lambda self, *a, **k: fits.append(self.name) or original(self, *a, **k)
    )
    return fits
