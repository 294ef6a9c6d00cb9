"""Listen to a model's attention as it reads, one layer's weights in memory at a time.

Attention is computed in the plain way (eager), which alone gives its weights; vision towers keep theirs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.tracing import run_forward
from frism.errors import UserError

Listen = Callable[[int, Tensor], None]  # takes a layer and its weights (heads, tokens, tokens)


def listen(ground: Ground, inputs: Mapping[str, Tensor], take: Listen) -> None:
    """Let a model read one question, and hand on each layer's attention weights, which are then dropped.

    To be called within `plain_attention`. Raises UserError for a module that gives no weights.
    """
    with ExitStack() as stack:
        for layer in range(ground.layers):
            module = ground.module(ground.module_path(layer, "attention"))
            stack.callback(module.register_forward_hook(partial(_hand_on, layer, take)).remove)
        run_forward(ground.model, inputs, 1)


def _hand_on(layer: int, take: Listen, module: nn.Module, inputs: Any, output: Any) -> Any:
    weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
    if weights is None:
        raise UserError(
            f"{type(module).__name__} gives no attention weights, so where it looks is unknown: leave the"
            " analyses of attention out."
        )
    take(layer, weights[0])
    return (output[0], None, *output[2:])


def refuse_unless_in_sight(model: Any) -> None:
    """Raise UserError for a model whose decoder does not see the picture as tokens among the text's."""
    if getattr(model.config.get_text_config(), "cross_attention_layers", None) or (
        getattr(model.config, "image_token_id", None) is None
    ):
        raise UserError(
            f"{type(model).__name__} has no picture tokens among the text's, so attention to them is unknown:"
            " leave the analyses of attention out."
        )


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a model's language tower compute attention in the plain way for a while.

    A vision tower goes on as it did: of a large picture its weights would be the largest of all.
    """
    parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    before = [(part, part.config._attn_implementation) for part in parts]
    decoder = model.get_decoder()
    model.set_attn_implementation("eager")
    try:
        for part, implementation in before:
            if not _holds(part, decoder) and not _holds(decoder, part):
                part.set_attn_implementation(implementation)
        yield
    finally:
        for part, implementation in before:
            part.set_attn_implementation(implementation)


def _holds(one: nn.Module, other: nn.Module) -> bool:
    return any(module is other for module in one.modules())


def sum_over(weights: Tensor, groups: Tensor) -> Tensor:
    """Sum attention weights (heads, tokens, tokens) over groups of what is looked at: (heads, tokens, k).

    Args:
        groups: (tokens, k), by how much each token counts in each group.

    In fp32 on the CPU; one head at a time is copied.
    """
    by_group = groups.float().to(weights.device)
    return torch.stack([(head.float() @ by_group).cpu() for head in weights])
