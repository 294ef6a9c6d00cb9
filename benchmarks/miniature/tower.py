"""Train the vision tower alone on the scenes and the visual vocabulary: CLIP's role, in two minutes."""

import random
from pathlib import Path

import torch
from rich.progress import track
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.training import append_loss
from benchmarks.miniature.vocabulary import NO_COLOR, NO_NUMBER, PARTS, VisualVocabulary, cell_classes
from benchmarks.miniature.world import draw_scene, render

STAGE = "vlm: tower"


def pretrain_tower(
    vlm: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
    vocabulary: VisualVocabulary,
    curve: Path,
    *,
    seed: int,
    steps: int,
    batch: int = 48,
    lr: float = 2e-3,
    keeper: Keeper | None = None,
) -> None:
    """Train `vlm.model.visual` in place: name each cell's colour and number with two linear heads
    (thrown away afterwards), and give each visual token the vector that `vocabulary` has for it.

    `keeper` keeps the tower when it is finished; it is trained in two minutes.
    """
    if keeper is not None and keeper.take_up(STAGE, vlm) is not None:
        return
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tower, hidden = vlm.model.visual, vocabulary.hidden
    heads = nn.ModuleList(nn.Linear(PARTS * hidden, n + 1) for n in (NO_COLOR, NO_NUMBER))
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    tower.train()
    for step in track(range(steps), f"{STAGE:14}"):
        for group in optimizer.param_groups:
            group["lr"] = lr * min((step + 1) / 30, 1) * min(1, (steps - step) / (0.4 * steps) + 0.02)
        scenes = [draw_scene(rng) for _ in range(batch)]
        pictures = processor.image_processor(images=[render(s, rng) for s in scenes], return_tensors="pt")
        tokens = tower(pictures["pixel_values"], grid_thw=pictures["image_grid_thw"]).pooler_output
        with torch.no_grad():
            wanted = vocabulary.tokens(scenes)
        cells = tokens.view(batch, 3, 2, 3, 2, hidden).transpose(2, 3).reshape(batch * 9, PARTS * hidden)
        colors, numbers = cell_classes(scenes)
        naming = nn.functional.cross_entropy(heads[0](cells), colors) + nn.functional.cross_entropy(
            heads[1](cells), numbers
        )
        loss = naming + nn.functional.mse_loss(tokens, wanted) / wanted.var()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 25 == 0 or step == steps - 1:
            append_loss(curve, STAGE, step, loss.item())
    if keeper is not None:
        keeper.keep(STAGE, vlm, finished=True)
