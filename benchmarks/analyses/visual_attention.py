"""Visual attention: how much of what is read goes to the picture, by layer, head and place in the answer.

FRISM (arXiv 2601.21187) shows maps of visual focus by example; how they were made is not known, so this is
of this project (the mass itself as in FRANK, arXiv 2505.16151). For the tokens of the question behind the
picture, and each quarter of the answer: picture, the attention on the picture's tokens, of all tokens (1 in
all), mean over heads (heads: each head's); relative, that over the picture's share of the tokens in sight, 1
for attention that looks nowhere in particular; most, that of the head that looks most; relevant and
irrelevant, that on a tile that the question is about and on another, where the miniature world says which.
`answers` says which answer is read: own, the variant's, for how focus fades along its own chain; vlm, V's,
for the same tokens. Attention is computed in the plain way, one layer's at a time. Attention is not
explanation: it says where was looked, not what was used.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from benchmarks.analyses.measuring.attention import (
    listen,
    plain_attention,
    refuse_unless_in_sight,
    sum_over,
)
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.scenes import ShownScene, find_scene
from benchmarks.analyses.measuring.tracing import KINDS, Reading, Row

QUARTERS = 4
PICTURE, SORTS = "picture", {True: "relevant", False: "irrelevant"}


@torch.inference_mode()
def trace(
    ground: Ground, readings: Sequence[Reading], *, answers: Literal["own", "vlm"] = "own"
) -> list[list[Row]]:
    """Return of every reading a row per layer and part of the text: n, and what the label lists."""
    refuse_unless_in_sight(ground.model)
    found = []
    with plain_attention(ground.model):
        for reading in readings:
            scene = find_scene(ground.model.config, reading, ground.seed)
            parts, groups = find_parts(reading.kinds), group_tokens(reading.kinds, scene)
            rows: list[Row] = []

            def take(
                layer: int, weights: Tensor, rows: list[Row] = rows, parts: Mapping[str, Tensor] = parts,
                groups: Mapping[str, Tensor] = groups,
            ) -> None:  # fmt: skip
                rows += measure_weights(weights, layer, parts, groups)

            listen(ground, reading.inputs, take)
            found.append(rows)
    return found


def find_parts(kinds: Tensor) -> dict[str, Tensor]:
    """Find the tokens of every part of a text that reads the picture: bool (tokens,) each, none empty."""
    seen = (kinds == KINDS.index(PICTURE)).cumsum(0) > 0
    answer = kinds == KINDS.index("answer")
    number = answer.cumsum(0) - 1
    quarter = QUARTERS * number // max(1, int(answer.sum()))
    parts = {"question": seen & (kinds == KINDS.index("question"))}
    parts |= {f"answer {part + 1}": answer & seen & (quarter == part) for part in range(QUARTERS)}
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


def group_tokens(kinds: Tensor, scene: ShownScene | None) -> dict[str, Tensor]:
    """Weigh the tokens that are looked at: (tokens,) each. Of tiles of a sort each one weighs 1 / number."""
    groups = {PICTURE: (kinds == KINDS.index(PICTURE)).float()}
    for relevant, sort in SORTS.items():
        tiles = [tile for tile in (scene.tiles if scene else ()) if tile.relevant == relevant]
        if tiles:
            groups[sort] = torch.zeros(len(kinds))
            for tile in tiles:
                groups[sort][tile.tokens] = 1 / len(tiles)
    return groups


def measure_weights(
    weights: Tensor, layer: int, parts: Mapping[str, Tensor], groups: Mapping[str, Tensor]
) -> list[Row]:
    """Measure the attention on groups of tokens of one layer's weights (heads, tokens, tokens)."""
    stacked = torch.stack(list(groups.values()), dim=1)
    mass = dict(zip(groups, sum_over(weights, stacked).unbind(-1), strict=True))  # (heads, tokens) each
    picture = groups[PICTURE]
    even = picture.cumsum(0) / torch.arange(1, len(picture) + 1)  # of attention that looks nowhere
    rows = []
    for name, chosen in parts.items():
        by_head = mass[PICTURE][:, chosen].mean(1)
        row: Row = {
            "layer": layer, "tokens": name, "n": int(chosen.sum()), "picture": float(by_head.mean()),
            "relative": float((mass[PICTURE][:, chosen].mean(0) / even[chosen]).mean()),
            "most": float(by_head.max()), "heads": " ".join(f"{share:.4f}" for share in by_head.tolist()),
        }  # fmt: skip
        for sort in SORTS.values():
            row[sort] = float(mass[sort][:, chosen].mean()) if sort in mass else None
        rows.append(row)
    return rows
