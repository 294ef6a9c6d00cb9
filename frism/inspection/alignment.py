"""Measure task vectors: norms of B, tau_V and tau_R and the cosine between them, tensor by tensor."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from frism.triples.scopes import split_name
from frism.triples.triple import Triple

_CHUNK = 1 << 20  # values widened to fp64 at a time
_PROBES = 32  # of the effective rank: a standard error of some per cent


@dataclass(frozen=True)
class Norms:
    """Frobenius norms over some tensors in scope, and cos(tau_V, tau_R), which is 0 where one vanishes.

    Attributes:
        changed: the share of entries in which R differs from B.
        effective_rank: (sum s^2)^2 / sum s^4 of tau_R's singular values s, relative to the shorter side,
            averaged over matrices; None where there are none or tau_R vanishes.
    """

    tensors: int
    base: float
    tau_vlm: float
    tau_lrm: float
    cosine: float
    changed: float
    effective_rank: float | None


@dataclass(frozen=True)
class LayerNorms(Norms):
    """One decoder layer; None: what lies outside the layers."""

    layer: int | None


@dataclass(frozen=True)
class ModuleNorms(Norms):
    """One kind of tensor over all layers, such as "self_attn.q_proj.weight"."""

    module: str


@dataclass(frozen=True)
class TensorNorms(Norms):
    """One tensor, by its canonical name."""

    name: str


@dataclass(frozen=True)
class TaskVectorNorms:
    """The same sums grouped by layer, by module and by tensor, and over everything in scope."""

    layers: list[LayerNorms]
    modules: list[ModuleNorms]
    tensors: list[TensorNorms]
    total: Norms


def measure_task_vectors(
    triple: Triple, scope: str | None = None, progress: Callable[[str], None] | None = None
) -> TaskVectorNorms:
    """Read every tensor in scope once and return norms and cosines (sums in fp64).

    `progress` is called with each tensor's name. Raises UserError where the three do not align.
    """
    sums: dict[str, Tensor] = {}
    for name in triple.names(scope):
        if progress is not None:
            progress(name)
        base, vlm, lrm = (triple.read(role, name) for role in ("base", "vlm", "lrm"))
        shape = torch.tensor([float((base != lrm).sum()), base.numel(), estimate_rank(lrm - base)])
        sums[name] = torch.cat([measure_inner_products(base, vlm, lrm), shape.double()])
    layers: dict[int | None, list[Tensor]] = defaultdict(list)
    modules: dict[str, list[Tensor]] = defaultdict(list)
    for name, values in sums.items():
        layer, module = split_name(name)
        layers[layer].append(values)
        modules[module].append(values)
    return TaskVectorNorms(
        [LayerNorms(*_norms(values), layer) for layer, values in layers.items()],
        [ModuleNorms(*_norms(values), module) for module, values in modules.items()],
        [TensorNorms(*_norms([values]), name) for name, values in sums.items()],
        Norms(*_norms(sums.values())),
    )


def measure_inner_products(base: Tensor, vlm: Tensor, lrm: Tensor) -> Tensor:
    """Return |B|^2, |tau_V|^2, |tau_R|^2 and <tau_V, tau_R> of one tensor: fp64 (4,)."""
    total = torch.zeros(4, dtype=torch.float64)
    chunks = (tensor.reshape(-1).split(_CHUNK) for tensor in (base, vlm, lrm))
    for one, two, three in zip(*chunks, strict=True):
        b = one.double()
        tau_vlm, tau_lrm = two.double() - b, three.double() - b
        pairs = ((b, b), (tau_vlm, tau_vlm), (tau_lrm, tau_lrm), (tau_vlm, tau_lrm))
        total += torch.stack([left @ right for left, right in pairs])
    return total


def estimate_rank(tau: Tensor) -> float:
    """Return (sum s^2)^2 / sum s^4 of a matrix over its shorter side: 1 where all singular values are equal.

    Estimated with Gaussian probes z from E |T^T T z|^2 = sum s^4 (Hutchinson); NaN for no matrix, or zeros.
    """
    if tau.ndim != 2 or not tau.any():
        return math.nan
    scaled = tau / tau.norm()
    probes = torch.randn(tau.shape[1], _PROBES, generator=torch.Generator().manual_seed(0))
    fourth = (scaled.T @ (scaled @ probes)).square().sum(0).mean()
    return min(1.0, 1.0 / float(fourth) / min(tau.shape))


def _norms(sums: Iterable[Tensor]) -> tuple[int, float, float, float, float, float, float | None]:
    tensors = list(sums)
    stacked = torch.stack(tensors)
    base, vlm, lrm, product, changed, entries = stacked[:, :6].sum(0).tolist()
    both = math.sqrt(vlm) * math.sqrt(lrm)
    cosine = product / both if both else 0.0
    rank = float(stacked[:, 6].nanmean())
    return (
        len(tensors), math.sqrt(base), math.sqrt(vlm), math.sqrt(lrm), cosine,
        changed / entries if entries else 0.0, None if math.isnan(rank) else rank,
    )  # fmt: skip
