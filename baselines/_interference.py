"""Minimise the interference of a merged task vector with each model's own inputs, as WUDI does.

The loss is sum_i ||(theta - target_i) rows_i^T||_F^2 / n_i: rows_i, (k_i, d_in), span the inputs of model i
that its task vector answers to, n_i is that task vector's squared norm. Where target and rows are the
task vector itself, U_i S_i V_i^T, the loss is quadratic in theta with C = sum_i V_i S_i^2 V_i^T / n_i and D =
sum_i U_i S_i^3 V_i^T / n_i, and least at D C^-1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines._spectral import Factors

FLOOR = 1e-8  # of eigenvalues of C, whose sum is the number of models
Filter = Callable[[Tensor, int], Tensor]  # eigenvalues (falling), d_in -> a factor of each


@dataclass(frozen=True)
class Term:
    """One model's term: target (d_out, d_in), rows (k, d_in), norm: the squared norm of its task vector."""

    target: Tensor
    rows: Tensor
    norm: Tensor

    def prepare_gradient(self) -> Callable[[Tensor], Tensor]:
        """Return the gradient at theta, 2 (theta - target) rows^T rows / n, by the fewer multiplications."""
        rows = self.rows * (2 / self.norm).sqrt()
        if rows.shape[1] > 2 * len(rows):
            return lambda theta: ((theta - self.target) @ rows.mT) @ rows
        moments = rows.mT @ rows
        return lambda theta: (theta - self.target) @ moments


def descend(start: Tensor, terms: Sequence[Term], optimizer: str, lr: float, steps: int) -> Tensor:
    """Return theta after some steps of "adam", or of "sgd" with momentum 0.9, from `start`."""
    theta = start.clone()
    chosen = torch.optim.Adam([theta], lr=lr) if optimizer == "adam" else torch.optim.SGD([theta], lr, 0.9)
    gradients = [term.prepare_gradient() for term in terms]
    with torch.no_grad():
        for _ in range(steps):
            theta.grad = torch.zeros_like(theta)
            for gradient in gradients:
                theta.grad += gradient(theta)
            chosen.step()
    return theta


def solve(start: Tensor, parts: Sequence[Factors], choose: Filter) -> Tensor:
    """Return start (I - Q f Q^T) + D Q (f / lambda) Q^T, Q and lambda the eigenpairs of C.

    With f = 1, which `choose` gives, an eigendirection has the least loss; with f = 0 it stays `start`'s.
    """
    parts = [(u, s, vh) for u, s, vh in parts if s.norm() > 0]
    if not parts:
        return start
    rows = torch.cat([s.double()[:, None] * vh.double() / s.double().norm() for _, s, vh in parts])
    if len(rows) <= rows.shape[1]:  # the smaller Gram matrix has the same eigenvalues
        values, vectors = torch.linalg.eigh(rows @ rows.mT)
        basis = rows.mT @ (vectors / values.clamp(min=FLOOR).sqrt())
    else:
        values, basis = torch.linalg.eigh(rows.mT @ rows)
    values, basis = values.flip(0), basis.flip(1)
    factors = choose(values, rows.shape[1]) * (values > FLOOR)
    target = torch.zeros_like(start, dtype=torch.float64)[:, :1]
    for u, s, vh in parts:
        cubes = s.double() ** 3 / s.double().square().sum()
        target = target + (u.double() * cubes) @ (vh.double() @ basis)
    along = target / values.clamp(min=FLOOR) - start.double() @ basis
    change: Tensor = (along * factors) @ basis.mT
    return start + change.to(start.dtype)


def fade(time: float, share: float) -> Filter:
    """Return the filter 1 - exp(-lambda time) on the largest `share` of d_in eigenvalues, rounded up."""

    def factors(values: Tensor, d_in: int) -> Tensor:
        kept = torch.arange(len(values), device=values.device) < max(1, int(d_in * share + 0.999))
        return (1 - torch.exp(-values.clamp(min=FLOOR) * time)) * kept

    return factors


def participate(values: Tensor, d_in: int) -> Tensor:
    """Filter: 1 for the (sum sqrt(lambda))^2 / sum lambda largest eigenvalues, rounded up, else 0."""
    every = torch.cat([values, values.new_zeros(d_in - len(values))]).clamp(min=FLOOR)
    count = torch.ceil(every.sqrt().sum() ** 2 / every.sum())
    return (torch.arange(len(values), device=values.device) < count).to(values.dtype)
