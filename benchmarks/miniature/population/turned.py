"""Train a V that needs its tau_V: B behind a tower that speaks another language, which B has to learn.

In the committed V the tower lands on B's own word embeddings, so B reads it almost as well without any tau_V.
Real projectors do not emit word embeddings. Here the output of the aligned tower is turned by 60 degrees in
its 128 dimensions and frozen: B sees a third of what V sees (perception near .3), and learns the rest in 220
steps.
"""

import math
from pathlib import Path

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.models import new_vlm
from benchmarks.miniature.population.members import DEGREES
from benchmarks.miniature.training import fit, make_writer_and_batcher
from benchmarks.miniature.vlm import draw_mixture


def train_turned_vlm(
    base: Qwen2ForCausalLM,
    aligned: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int,
    steps: int = 220,
    lr: float = 5e-4,
    degrees: float = DEGREES,
    keeper: Keeper | None = None,
) -> Qwen2_5_VLForConditionalGeneration:
    """Train V from B and the turned tower of `aligned`, on the mixture of V's own last stage."""
    writer, batcher = make_writer_and_batcher(processor)
    model = new_vlm(base, processor, seed)
    model.model.visual.load_state_dict(aligned.model.visual.state_dict())
    turn_projector(model, degrees, seed)
    model.model.visual.requires_grad_(False)
    fit(model, optimizers.make_gentle_optimizer(model, lr), lambda rng, _: draw_mixture(writer, rng), batcher,
        steps=steps, batch=32, seed=seed + 1, stage="vlm: turned", curve=curve, keeper=keeper)  # fmt: skip
    model.model.visual.requires_grad_(True)
    return model


@torch.no_grad()
def turn_projector(vlm: Qwen2_5_VLForConditionalGeneration, degrees: float, seed: int) -> None:
    """Turn every visual token of V by an angle: the projector's last layer W becomes T W, its bias too."""
    last = vlm.model.visual.merger.mlp[2]
    turn = make_turn(last.weight.shape[0], degrees, seed).to(last.weight.dtype)
    last.weight.copy_(turn @ last.weight)
    last.bias.copy_(turn @ last.bias)


def make_turn(size: int, degrees: float, seed: int) -> torch.Tensor:
    """Make an orthogonal (size, size) matrix, fp64, that turns every vector by `degrees`; `size` is even.

    cos I + sin O J O^T with a random orthogonal O and the standard skew-symmetric J: O J O^T is orthogonal
    and skew, so that any vector's image lies at a right angle to it.
    """
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(size, size, generator=generator, dtype=torch.float64)
    frame, _ = torch.linalg.qr(random)
    half, angle = size // 2, math.radians(degrees)
    skew = torch.zeros(size, size, dtype=torch.float64)
    skew[:half, half:], skew[half:, :half] = torch.eye(half), -torch.eye(half)
    image: torch.Tensor = frame @ skew @ frame.T
    return math.cos(angle) * torch.eye(size, dtype=torch.float64) + math.sin(angle) * image
