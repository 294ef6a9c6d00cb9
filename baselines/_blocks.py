"""FRANK's coefficients of a decoder layer: shares of the squared norms, with a prior for early layers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from frism.errors import UserError
from frism.method import Array, Fitted, Fitting, Site


def weigh_layers(decay: float, count: int, normalise: str) -> list[float]:
    """Return the VLM's prior weight of every layer, exp(-decay * l): over their sum or over the largest."""
    if normalise == "none":
        return [0.5] * count  # equal for both models: no prior
    logs = [-decay * layer for layer in range(count)]
    highest = max(logs)  # no overflow, whatever the decay
    raw = [math.exp(value - highest) for value in logs]
    return [value / sum(raw) for value in raw] if normalise == "sum" else raw


def fit_layers(fitting: Fitting, prior: Sequence[float]) -> Fitted:
    """Compute the coefficients of every layer; squares are summed in float64.

    Raises UserError when both models equal B everywhere.
    """
    squares = [[0.0, 0.0] for _ in range(fitting.layers)]
    for site in fitting.sites():
        if site.layer is not None:
            for place, tau in enumerate((site.tau_v, site.tau_r)):
                squares[site.layer][place] += float(tau.double().square().sum())
    if not any(map(sum, squares)):
        raise UserError(f"method {fitting.label}: V and R equal B in every layer: nothing to merge.")
    of_vlm: list[float] = []
    for (vlm, lrm), weight in zip(squares, prior, strict=True):
        total = weight * vlm + (1 - weight) * lrm
        of_vlm.append(weight * vlm / total if total else 1.0)
    shares = torch.tensor(of_vlm, dtype=torch.float64)
    return Fitted(model={"vlm": shares.float(), "lrm": (1 - shares).float()})


def merge_layer(site: Site) -> Array:
    """Return B + lambda_V tau_V + lambda_R tau_R, the layer's lambdas; outside the layers V."""
    if site.layer is None:
        return site.vlm
    of_vlm, of_lrm = (site.fitted[role][site.layer] for role in ("vlm", "lrm"))
    return site.base + of_vlm * site.tau_v + of_lrm * site.tau_r


def fit_decay(shares: Tensor) -> float:
    """Fit ln a_l = ln C - decay * l by least squares, a_l > 0 of every layer; return the decay."""
    logs = shares.double().clamp(min=1e-12).log()
    place = torch.arange(len(logs), dtype=torch.float64)
    place = place - place.mean()
    return float(-(place @ (logs - logs.mean())) / (place @ place).clamp(min=1e-30))
