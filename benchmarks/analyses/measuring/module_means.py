"""Measure what modules put out on average: the vector that mean ablation puts in their place."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from frism.distillation.prompts import prepare_questions

if TYPE_CHECKING:
    from PIL.Image import Image


@torch.inference_mode()
def measure_means(
    model: Any, processor: Any, paths: Iterable[str], questions: Sequence[tuple["Image", str]], number: int
) -> Mapping[str, Tensor]:
    """Return the mean output of modules by path: (hidden,) each, fp32 on the CPU.

    Over all tokens, pictures' included, of the prompts of the first `number` questions, each read alone, so
    that there is no padding. Raises UserError for pictures that cannot be read.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def add(path: str, module: nn.Module, inputs: Any, output: Any) -> None:
        values = get_output(output).flatten(0, -2).double()
        sums[path] = sums.get(path, 0) + values.sum(0).cpu()
        counts[path] = counts.get(path, 0) + len(values)

    with ExitStack() as stack:
        for path in paths:
            handle = model.get_submodule(path).register_forward_hook(partial(add, path))
            stack.callback(handle.remove)
        for index in range(min(number, len(questions))):
            row = prepare_questions(processor, questions, [index])[0]
            model(**{name: _move(value, model) for name, value in row.items()})
    return {path: (total / counts[path]).float() for path, total in sums.items()}


def get_output(output: Any) -> Tensor:
    """Return the hidden states (..., hidden) among what a module puts out: attention adds its weights."""
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def replace_output(output: Any, hidden: Tensor) -> Any:
    """Return a module's output with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def _move(value: Tensor, model: Any) -> Tensor:
    return value.to(model.device, model.dtype if value.is_floating_point() else None)
