"""How three checkpoints lie to each other: alignment, norms and directions of the task vectors, per layer."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from frism.triples import ROLES, Triple


@dataclass(frozen=True)
class LayerNorms:
    """Frobenius norms over one layer's tensors in scope, and cos(tau_V, tau_R); None: the final norm."""

    layer: int | None
    tensors: int
    base: float
    tau_vlm: float
    tau_lrm: float
    cosine: float  # 0 where a task vector vanishes


@dataclass(frozen=True)
class Side:
    """One checkpoint of the triple."""

    role: str
    folder: str
    model_type: str
    dtypes: dict[str, int]  # stored dtype -> number of tensors
    tensors: int
    values: int
    digest: str


@dataclass(frozen=True)
class Report:
    """What `frism inspect` shows."""

    scope: str
    aligned: int  # tensors in scope with an equal-shaped partner in all three
    shapes: dict[str, int]  # shape -> number of aligned tensors
    sides: list[Side]
    layers: list[LayerNorms]
    total: LayerNorms
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


def inspect(
    triple: Triple, scope: str | None = None, progress: Callable[[str], None] | None = None
) -> Report:
    """Read every tensor in scope once (fp32 values, sums in fp64) and return the report.

    `progress` is called with each tensor's name. Raises UserError where the three do not align.
    """
    scope = scope or triple.scope
    names = triple.names(scope)
    sums: dict[int | None, Tensor] = {}
    counts: Counter[int | None] = Counter()
    for name in names:
        if progress is not None:
            progress(name)
        layer = triple.layer(name)
        sums[layer] = sums.get(layer, torch.zeros(4, dtype=torch.float64)) + _inner_products(triple, name)
        counts[layer] += 1
    per_layer = [_norms(layer, counts[layer], values) for layer, values in sums.items()]
    total = _norms(None, len(names), torch.stack(list(sums.values())).sum(0))
    shapes = Counter("x".join(map(str, triple.header("vlm", name).shape)) for name in names)
    sides = [_side(triple, role) for role in ROLES]
    return Report(scope, len(names), dict(shapes), sides, per_layer, total, triple.notes())


def _inner_products(triple: Triple, name: str) -> Tensor:
    """|B|^2, |tau_V|^2, |tau_R|^2 and <tau_V, tau_R> of one tensor, in fp64."""
    base = triple.read("base", name)
    tau_vlm, tau_lrm = triple.read("vlm", name) - base, triple.read("lrm", name) - base
    pairs = ((base, base), (tau_vlm, tau_vlm), (tau_lrm, tau_lrm), (tau_vlm, tau_lrm))
    return torch.stack([(left.double() * right.double()).sum() for left, right in pairs])


def _norms(layer: int | None, tensors: int, sums: Tensor) -> LayerNorms:
    base, tau_vlm, tau_lrm = sums[:3].sqrt().tolist()
    both = tau_vlm * tau_lrm
    return LayerNorms(layer, tensors, base, tau_vlm, tau_lrm, sums[3].item() / both if both else 0.0)


def _side(triple: Triple, role: str) -> Side:
    checkpoint = triple.checkpoints[role]
    headers = checkpoint.tensors.values()
    values = sum(torch.Size(header.shape).numel() for header in headers)
    dtypes = dict(Counter(header.dtype for header in headers))
    return Side(
        role, str(checkpoint.folder), checkpoint.model_type, dtypes, len(headers), values, checkpoint.digest
    )
