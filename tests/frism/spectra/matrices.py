"""Matrices that solvers have to cope with: decaying and flat spectra, lost rank, extreme scale, rounding."""

import torch
from torch import Tensor


def _noise(m: int, n: int, seed: int) -> Tensor:
    return torch.randn(m, n, generator=torch.Generator().manual_seed(seed))


def _with(values: Tensor, m: int, seed: int) -> Tensor:
    n = len(values)
    left, right = torch.linalg.qr(_noise(m, n, seed)).Q, torch.linalg.qr(_noise(n, n, seed + 1)).Q
    return (left * values) @ right.T


def make(kind: str, m: int, n: int, seed: int = 0) -> Tensor:
    """A (m, n) matrix, m >= n, fp32."""
    k = torch.arange(1, n + 1).float()
    matrix = _noise(m, n, seed)
    match kind:
        case "flat":
            return matrix
        case "power":
            return _with(k**-0.7, m, seed)
        case "outliers":
            return _with(torch.where(k < n / 8, 100 / k, 1 - 0.5 * k / n), m, seed)
        case "steep":  # some directions need the product in fp64
            return _with(10 ** (-3.5 * k / n), m, seed)
        case "very steep":  # and some are beyond it
            return _with(10 ** (-6 * k / n), m, seed)
        case "vanishing":  # more than half of them
            return _with(10 ** (-9 * k / n), m, seed)
        case "equal":
            return _with(torch.ones(n), m, seed)
        case "rank one":
            return matrix[:, :1] @ matrix[:1]
        case "one row short":
            return torch.cat([matrix[:-1], torch.zeros(1, n)])
        case "repeated columns":
            return matrix[:, torch.arange(n) % max(1, 4 * n // 5)]
        case "zero rows":
            matrix[: m // 4] = 0
            return matrix
        case "zero columns":
            matrix[:, : n // 4] = 0
            return matrix
        case "zero":
            return torch.zeros(m, n)
        case "one entry":
            matrix = torch.zeros(m, n)
            matrix[m // 2, n // 3] = -3
            return matrix
        case "tiny":
            return matrix * 1e-37
        case "huge":
            return matrix * 1e36
        case "rounded":  # a small change of bf16 weights, stored in bf16
            base = 0.02 * _noise(m, n, seed + 2)
            return (base + 1e-4 * matrix * k**-0.5).bfloat16().float() - base.bfloat16().float()
    raise ValueError(kind)


KINDS = (
    "flat", "power", "outliers", "steep", "very steep", "vanishing", "equal", "rank one", "one row short",
    "repeated columns", "zero rows", "zero columns", "zero", "one entry", "tiny", "huge", "rounded",
)  # fmt: skip
