"""Fit a method on a triple, by name."""

from typing import Any

from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.fitting import Fitting
from frism.triples.triple import Triple


def fit(method: str, triple: Triple, params: dict[str, Any], **given: Any) -> Fitted:
    """`given`: what the method needs (calibration, reference, ...), spectra, seed, workspace, compute."""
    return find(method).run_fit(Fitting(triple, **given), params)
