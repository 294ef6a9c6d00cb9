"""Run one linear layer with gated directions: forward, and the gates' gradient without the weight's.

The layer is y = W x + b + U diag(gains) V^T x with everything frozen but the gains. For an upstream gradient
delta of y, dL/dgains_k = sum over tokens of (u_k . delta)(v_k . x), so dL/dW, (d_out, d_in), is never formed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from frism.gates.task_vectors import Rows, slice_rows

Factors = Callable[[], tuple[Tensor, ...]]
TaskVector = Callable[[], Rows]

MAX_KEPT_ENTRIES = 1 << 22
"""Entries up to which a rebuilt matrix is kept for the backward pass; a larger one is rebuilt there."""


def rebuilding_pays(d_out: int, d_in: int, tokens: int) -> bool:
    """Whether W + U diag(gains) V^T is cheaper formed once than applied as a side branch, by multiplications.

    The branch costs 2 k (d_out + d_in) per token more than the frozen layer (forward and backward). With W
    rebuilt only the gates' gradient is left, k (d_out + d_in) per token, but each time that W is built costs
    k d_out d_in. The number of directions k cancels.
    """
    times = 1 if d_out * d_in <= MAX_KEPT_ENTRIES else 2
    return tokens * (d_out + d_in) > times * d_out * d_in


class SideBranch(torch.autograd.Function):
    """Compute y = W x + b + U (gains * V^T x). Keeps V^T x, (tokens, k), for the backward pass.

    Inputs: x (tokens, d_in); gains (k,); tail, a scalar already contained in `weight` and in `gains`, which
    only receives its gradient sum (delta . tau x) here, or None; weight (d_out, d_in); bias (d_out,) or None;
    functions that return U (d_out, k) and V^T (k, d_in), called again in the backward pass, and tau, called
    only when the tail needs its gradient. Products run in the factors' dtype.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gains: Tensor,
        tail: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        factors: Factors,
        task_vector: TaskVector | None,
    ) -> Tensor:
        u, vh = factors()
        y = linear(x, weight, bias)
        inner = linear(x.to(vh.dtype), vh)
        _add_product(y, (inner * gains).to(u.dtype), u.T)
        ctx.save_for_backward(gains, weight, inner, x if ctx.needs_input_grad[2] else None)
        ctx.factors, ctx.task_vector = factors, task_vector
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        gains, weight, inner, x = ctx.saved_tensors
        u, vh = ctx.factors()
        back = delta.to(u.dtype) @ u
        of_gains = (back * inner).sum(0, dtype=gains.dtype) if ctx.needs_input_grad[1] else None
        of_tail = _tail_gradient(x, delta, ctx.task_vector, gains.dtype) if ctx.needs_input_grad[2] else None
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = delta @ weight
            _add_product(of_x, (back * gains).to(vh.dtype), vh)
        return of_x, of_gains, of_tail, None, None, None, None


class RebuiltWeight(torch.autograd.Function):
    """Compute what `SideBranch` does, with its inputs and gradients, by forming W + U diag(gains) V^T first.

    Keeps x, (tokens, d_in), and the rebuilt matrix where that has at most KEPT entries.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gains: Tensor,
        tail: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        factors: Factors,
        task_vector: TaskVector | None,
    ) -> Tensor:
        rebuilt = _rebuild(weight, gains, factors)
        ctx.kept = rebuilt.numel() <= MAX_KEPT_ENTRIES
        ctx.save_for_backward(gains, rebuilt if ctx.kept else weight, x)
        ctx.factors, ctx.task_vector = factors, task_vector
        return linear(x, rebuilt, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        gains, weight, x = ctx.saved_tensors
        of_gains = of_x = None
        if ctx.needs_input_grad[1]:
            u, vh = ctx.factors()
            inner, back = linear(x.to(vh.dtype), vh), delta.to(u.dtype) @ u
            of_gains = back.mul_(inner).sum(0, dtype=gains.dtype)
        of_tail = _tail_gradient(x, delta, ctx.task_vector, gains.dtype) if ctx.needs_input_grad[2] else None
        if ctx.needs_input_grad[0]:
            of_x = delta @ (weight if ctx.kept else _rebuild(weight, gains, ctx.factors))
        return of_x, of_gains, of_tail, None, None, None, None


class WholeMatrix(torch.autograd.Function):
    """Compute y = W x + b + gain * tau x: one gate for the matrix, which needs no directions. Keeps x.

    Inputs: x (tokens, d_in); gain, a scalar; weight, bias; a function that returns tau (d_out, d_in).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, weight: Tensor, bias: Tensor | None, factors: Factors
    ) -> Tensor:
        (tau,) = factors()
        y = linear(x, weight, bias)
        _add_product(y, (x * gain).to(tau.dtype), tau.T)
        ctx.save_for_backward(gain, weight, x)
        ctx.factors = factors
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        gain, weight, x = ctx.saved_tensors
        (tau,) = ctx.factors()
        back = delta.to(tau.dtype) @ tau
        of_gain = (back * x).sum(dtype=gain.dtype) if ctx.needs_input_grad[1] else None
        of_x = (delta @ weight).add_((back * gain).to(delta.dtype)) if ctx.needs_input_grad[0] else None
        return of_x, of_gain, None, None, None


def _rebuild(weight: Tensor, gains: Tensor, factors: Factors) -> Tensor:
    u, vh = factors()
    scaled = (u * gains).to(u.dtype)
    if weight.dtype == u.dtype:
        return torch.addmm(weight, scaled, vh)
    return (scaled @ vh).add_(weight).to(weight.dtype)


def _tail_gradient(x: Tensor, delta: Tensor, task_vector: TaskVector, dtype: torch.dtype) -> Tensor:
    """Return the sum over tokens of delta . tau x: the tail's gradient beside its share in the gains."""
    tau, sums = task_vector(), []
    for rows in slice_rows(delta.shape[1], x.shape[1]):
        product = linear(x, tau[rows].to(x.device, x.dtype))
        sums.append(product.mul_(delta[:, rows]).sum(dtype=dtype))
    return torch.stack(sums).sum()


def _add_product(y: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a b to y in place; in one kernel where the dtypes agree."""
    if y.dtype == a.dtype:
        y.addmm_(a, b)
    else:
        y.add_((a @ b).to(y.dtype))
