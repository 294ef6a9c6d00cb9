"""Knock-out: one module of a block of layers is silenced, and what the variant can still do is scored.

The layer analysis of Bring Reason to Vision (arXiv 2505.05464), on the full weights of V and of variants,
over every block of layers of a `module`. `replacement` says by what: reciprocal, as published, overwrites all
projections of the module (q, k, v, o; or gate, up, down) with the constant 1/n, n the number of a matrix'
output rows, and leaves biases alone; zero overwrites matrices and biases with 0, so that the module puts out
nothing; mean lets the module compute, for the cache's sake, and puts its mean output over the tokens of
unlabelled calibration questions in its place (the first `calibrated` of them), the milder, standard ablation.
`block` layers at a time, `stride` layers apart (0: side by side). Deviation: the published grid is one layer
at a time on whole benchmarks of test questions; here questions are drawn from dev.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.analyses.measuring.blocks import Window, select
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import INTACT, Intervention
from benchmarks.analyses.measuring.module_means import get_output, replace_output
from frism.method.ranges import Count

LISTS = ("module", "replacement")
CALIBRATED = {"replacement": "mean"}


def intervene(
    ground: Ground,
    *,
    module: Literal["attention", "mlp"] = "attention",
    replacement: Literal["reciprocal", "zero", "mean"] = "reciprocal",
    window: Window = Window(),  # noqa: B008 (frozen)
    calibrated: Count = 64,
) -> Iterator[Intervention]:
    """Yield the intact variant, then one knock-out per block of layers."""
    yield INTACT
    for layers in window.slide(ground.layers):
        inputs = f"{ground.calibration} {calibrated}" if replacement == "mean" else ""
        apply = (
            partial(replace_outputs, ground, layers, module, calibrated)
            if replacement == "mean"
            else partial(overwrite, ground, layers, module, replacement)
        )
        yield Intervention(replacement, module, "layers", layers[0], layers[-1], inputs, apply)


def overwrite(ground: Ground, layers: range, module: str, replacement: str) -> AbstractContextManager[object]:
    """Overwrite the projections of a module in some layers."""
    kinds = ("matrix", "bias") if replacement == "zero" else ("matrix",)
    names = [name for name in ground.tower if ground.triple.kind(name) in kinds]
    fill = torch.zeros_like if replacement == "zero" else spread_evenly
    return ground.overwritten(dict.fromkeys(select(names, layers, module, ground.layers), fill))


def spread_evenly(matrix: Tensor) -> Tensor:
    """Return the constant 1/n for a matrix of n output rows."""
    return torch.full_like(matrix, 1 / matrix.shape[0])


@contextmanager
def replace_outputs(ground: Ground, layers: range, module: str, calibrated: int) -> Iterator[None]:
    """Replace a module's output by its mean in some layers."""

    def put_mean(mean: Tensor, module: nn.Module, inputs: Any, output: Any) -> Any:
        hidden = get_output(output)
        return replace_output(output, mean.to(hidden.device, hidden.dtype).expand_as(hidden))

    paths = [ground.module_path(layer, module) for layer in layers]
    means = [ground.mean_output(path, calibrated) for path in paths]
    handles = [
        ground.module(path).register_forward_hook(partial(put_mean, mean))
        for path, mean in zip(paths, means, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
