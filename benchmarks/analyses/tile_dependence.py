"""Tile dependence: how much an answer changes when one tile of the picture does, beside the look at it.

Of this project: the causal measure beside attention, in the miniature world, which knows the tiles that a
question is about. Each tile of a scene is painted over: blank, by bare ground; swap, by a tile of a colour
and a number that neither scene nor question names, so that the right answer stays wherever the tile does not
matter. changed: whether the answer (`answers`: own, the variant's, or vlm, V's) would no longer be said word
for word: whether another token becomes the likeliest anywhere along it, which is exact for greedy decoding.
drop: how much less likely its tokens become, in nats, mean over the answer. attention: on the tile's tokens
in the picture as it was, mean over layers, heads and the tokens at which the answer is said.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from PIL.Image import Image
from torch import Tensor

from benchmarks.analyses.measuring.attention import (
    listen,
    plain_attention,
    refuse_unless_in_sight,
    sum_over,
)
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.scenes import ShownScene, ShownTile, find_scene
from benchmarks.analyses.measuring.tracing import Reading, Row, run_forward
from benchmarks.miniature.relevance import exchange, repaint
from benchmarks.miniature.world import PLACES
from frism.errors import UserError

SCENES = True  # asks what only the miniature world knows
BLANK, SWAP = "blank", "swap"


@torch.inference_mode()
def trace(
    ground: Ground, readings: Sequence[Reading], *, answers: Literal["own", "vlm"] = "own"
) -> list[list[Row]]:
    """Return of every reading a row per tile and change: changed, drop, attention.

    Raises UserError for a question of another world, and for pictures whose tokens have no place.
    """
    refuse_unless_in_sight(ground.model)
    return [_trace(ground, reading) for reading in readings]


def _trace(ground: Ground, reading: Reading) -> list[Row]:
    scene = find_scene(ground.model.config, reading, ground.seed)
    if scene is None:
        raise UserError(
            f"nobody knows which part of question {reading.item.index} of {reading.item.benchmark} matters:"
            " leave tile_dependence out, or name benchmarks of the miniature world."
        )
    looks = measure_looks(ground, reading, scene)
    picture = reading.item.pictures()[0]
    changes = [
        (number, change, changed)
        for number, shown in enumerate(scene.tiles)
        for change, changed in paint(picture, shown, scene, reading.item.content)
    ]
    changed, drops = compare(ground.model, reading, [picture, *(image for _, _, image in changes)])
    return [
        {
            "tile": PLACES[scene.tiles[number].tile.place], "relevant": int(scene.tiles[number].relevant),
            "change": change, "changed": int(changed[place]), "drop": float(drops[place]),
            "attention": float(looks[number]),
        }
        for place, (number, change, _) in enumerate(changes)
    ]  # fmt: skip


def paint(picture: Image, shown: ShownTile, scene: ShownScene, seed: str) -> list[tuple[str, Image]]:
    """Paint over one tile in every way that there is."""
    other = exchange(shown.tile, scene.scene, scene.question, f"{seed} {shown.tile.place}")
    ways = [(BLANK, repaint(picture, shown.tile, None))]
    return ways if other is None else [*ways, (SWAP, repaint(picture, shown.tile, other))]


def compare(model: Any, reading: Reading, pictures: Sequence[Image]) -> tuple[Tensor, Tensor]:
    """Compare what is said over other pictures with what is said over the first.

    Returns, for every picture but the first, whether another token becomes the likeliest anywhere along the
    answer, and by how much the mean log-likelihood of its tokens falls.
    """
    length = len(reading.answer)
    outputs = run_forward(model, reading.shows([[picture] for picture in pictures]), length)
    logits = outputs.logits[:, -length:].float().cpu()
    likely, said = logits.argmax(-1), reading.answer.expand(len(pictures), -1)[..., None]
    chances = logits.log_softmax(-1).gather(-1, said).squeeze(-1).mean(-1)
    return (likely[1:] != likely[0]).any(-1), chances[0] - chances[1:]


def measure_looks(ground: Ground, reading: Reading, scene: ShownScene) -> Tensor:
    """Measure the attention on each tile while the answer is said, mean over layers and heads: (tiles,)."""
    groups = torch.zeros(len(reading.kinds), len(scene.tiles))
    for number, tile in enumerate(scene.tiles):
        groups[tile.tokens, number] = 1.0
    layers: list[Tensor] = []

    def take(layer: int, weights: Tensor) -> None:
        said = weights[:, reading.speaking.to(weights.device)]
        layers.append(sum_over(said, groups).mean((0, 1)))

    with plain_attention(ground.model):
        listen(ground, reading.inputs, take)
    return torch.stack(layers).mean(0)
