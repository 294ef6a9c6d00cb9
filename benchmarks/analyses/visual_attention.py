"""Visual attention: how much of what is read goes to the picture, by layer, head and place in the answer.

FRISM (arXiv 2601.21187) shows maps of visual focus by example; how they were made is not known, so this is
of this project (the mass itself as in FRANK, arXiv 2505.16151). For the tokens of the question behind the
picture, and each quarter of the answer: picture, the attention on the picture's tokens, of all tokens (1 in
all), mean over heads; relative, that over the picture's share of the tokens in sight, 1 for attention that
looks nowhere in particular; most, that of the head that looks most. `answers` says which answer is read: own,
the variant's, for how focus fades along its own chain; vlm, V's, for the same tokens. Attention is computed
in the plain way, one layer's at a time. Attention is not explanation: it says where was looked, not what was
used.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.tracing import KINDS, Reading, Row
from frism.errors import UserError

QUARTERS = 4


@torch.inference_mode()
def trace(
    ground: Ground, readings: Sequence[Reading], *, answers: Literal["own", "vlm"] = "own"
) -> list[list[Row]]:
    """Return of every reading a row per layer and part of the text: n, picture, relative, most."""
    refuse_unless_in_sight(ground.model)
    found = []
    with plain_attention(ground.model):
        for reading in readings:
            parts = find_parts(reading.kinds)
            rows: list[Row] = []
            with ExitStack() as stack:
                for layer in range(ground.layers):
                    module = ground.module(ground.module_path(layer, "attention"))
                    keep = partial(measure_module, rows, layer, reading.kinds, parts)
                    stack.callback(module.register_forward_hook(keep).remove)
                ground.model(**reading.inputs, use_cache=False)
            found.append(rows)
    return found


def refuse_unless_in_sight(model: Any) -> None:
    """Raise UserError for a model whose decoder does not see the picture as tokens among the text's."""
    if getattr(model.config.get_text_config(), "cross_attention_layers", None) or (
        getattr(model.config, "image_token_id", None) is None
    ):
        raise UserError(
            f"{type(model).__name__} has no picture tokens among the text's, so attention to them is unknown:"
            " leave visual_attention out."
        )


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a model compute attention in the plain way, which alone gives its weights, for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def find_parts(kinds: Tensor) -> dict[str, Tensor]:
    """Find the tokens of every part of a text that reads the picture: bool (tokens,) each, none empty."""
    seen = (kinds == KINDS.index("picture")).cumsum(0) > 0
    answer = kinds == KINDS.index("answer")
    number = answer.cumsum(0) - 1
    quarter = QUARTERS * number // max(1, int(answer.sum()))
    parts = {"question": seen & (kinds == KINDS.index("question"))}
    parts |= {f"answer {part + 1}": answer & seen & (quarter == part) for part in range(QUARTERS)}
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


def measure_module(
    rows: list[Row],
    layer: int,
    kinds: Tensor,
    parts: dict[str, Tensor],
    module: nn.Module,
    inputs: Any,
    output: Any,
) -> Any:
    """Add a layer's rows, and drop its weights. Raises UserError where a module gives none."""
    weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
    if weights is None:
        raise UserError(
            f"{type(module).__name__} gives no attention weights, so where it looks is unknown: leave"
            " visual_attention out."
        )
    rows += measure_weights(weights[0], layer, kinds, parts)
    return (output[0], None, *output[2:])


def measure_weights(weights: Tensor, layer: int, kinds: Tensor, parts: dict[str, Tensor]) -> list[Row]:
    """Measure the attention on the picture of one layer's weights (heads, tokens, tokens)."""
    picture = kinds == KINDS.index("picture")
    mass = weights[:, :, picture.to(weights.device)].float().sum(-1).cpu()  # (heads, tokens)
    even = picture.cumsum(0) / torch.arange(
        1, len(kinds) + 1
    )  # of attention that looks nowhere in particular
    rows = []
    for name, chosen in parts.items():
        by_head = mass[:, chosen].mean(1)
        rows.append(
            {
                "layer": layer, "tokens": name, "n": int(chosen.sum()), "picture": float(by_head.mean()),
                "relative": float((mass[:, chosen].mean(0) / even[chosen]).mean()),
                "most": float(by_head.max()),
            }
        )  # fmt: skip
    return rows
