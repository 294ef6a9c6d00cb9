"""Optimise by Muon in fp32 beside AdamW: look-up forms in minutes rather than hours on a CPU."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Step along momentum orthogonalised by Newton-Schulz (Jordan et al. 2024), step matched to AdamW's RMS.

    torch.optim.Muon orthogonalises in bf16, which CPUs without native bf16 do hundreds of times
    slower than fp32; hence this one. Takes matrices only.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                average = state.setdefault("momentum", torch.zeros_like(weight))
                average.lerp_(weight.grad, 1 - group["momentum"])
                nesterov = weight.grad.lerp(average, group["momentum"])
                rms = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(orthogonalize(nesterov), alpha=-group["lr"] * rms)


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return roughly the nearest semi-orthogonal matrix: all singular values pushed towards 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def pretraining(model: torch.nn.Module, lr: float, muon_lr: float) -> list[torch.optim.Optimizer]:
    """Make the optimizers of B: Muon on the layers' matrices, AdamW on embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    rest = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers" in n)]
    return [Muon(matrices, muon_lr), torch.optim.AdamW(rest, lr, betas=(0.9, 0.98), weight_decay=0.0)]


def gentle(model: torch.nn.Module, lr: float, tower_lr: float = 1e-3) -> list[torch.optim.Optimizer]:
    """Make AdamW with `lr` for the language model and `tower_lr` for a vision tower, without frozen parts.

    Embeddings stay as they are, in R as in V: merging takes them from V, so what R learned there
    would be lost.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and "embed_tokens" not in n]
    groups = [
        {"params": [p for n, p in named if "visual" not in n], "lr": lr},
        {"params": [p for n, p in named if "visual" in n], "lr": tower_lr},
    ]
    return [torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.9, 0.98), weight_decay=0.0)]
