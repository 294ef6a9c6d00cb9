"""Hidden drift: how far a merge moves the residual stream from V's, layer by layer, on the same tokens.

Of this project: what a merge disturbs, to be set against what it loses of perception. V and the merge read
the same questions with V's own answers, as the study stored them on dev; after every layer the hidden states
of each token are compared: their cosine, and the norm of their difference over that of V's. Means are over
the tokens of a question by kind: of the picture, of the question (with the template's), of the answer. Layer
0 is what the first layer gets, V's in every merge; the last is behind the final norm where transformers gives
it so. V's states of 32 questions are held at a time, in host memory: layers x tokens x width values each, in
the model's own type; a merged state is held until it is compared.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.tracing import KINDS, Reading, Row, run_forward

MERGES = True
AT_ONCE = 32  # questions, whose hidden states are held in host memory


@torch.inference_mode()
def trace(ground: Ground, readings: Sequence[Reading]) -> list[list[Row]]:
    """Return of every reading a row per layer and kind of token: n, cosine, relative."""
    with ground.as_vlm():
        plain = [[state.cpu() for state in read_states(ground.model, reading)] for reading in readings]
    return [
        compare(read_states(ground.model, reading), other, reading.kinds)
        for other, reading in zip(plain, readings, strict=True)
    ]


def read_states(model: Any, reading: Reading) -> list[Tensor]:
    """Return the hidden states before the first layer and after each, as they are: (tokens, width)."""
    outputs = run_forward(model, reading.inputs, 1, output_hidden_states=True)
    return [states[0] for states in outputs.hidden_states]


def compare(merged: Sequence[Tensor], plain: Sequence[Tensor], kinds: Tensor) -> list[Row]:
    """Compare hidden states layer by layer: the mean cosine and relative distance of each kind's tokens."""
    rows = []
    for layer, pair in enumerate(zip(merged, plain, strict=True)):
        one, other = (state.float().cpu() for state in pair)
        cosine = torch.cosine_similarity(one, other, dim=-1)
        relative = (one - other).norm(dim=-1) / other.norm(dim=-1).clamp_min(1e-12)
        for number, kind in enumerate(KINDS):
            chosen = kinds == number
            if chosen.any():
                rows.append(
                    {
                        "layer": layer, "tokens": kind, "n": int(chosen.sum()),
                        "cosine": float(cosine[chosen].mean()), "relative": float(relative[chosen].mean()),
                    }
                )  # fmt: skip
    return rows
