"""Train a V in one stage: a tower from scratch into a language model that learns with it from the first step.

The natural way to a needed tau_V: nothing asks the tower to speak B's language, so both meet in between.
One such V, of the committed base, was trained to see what comes of it; it is no cell of the population.
"""

from pathlib import Path

from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.models import new_vlm
from benchmarks.miniature.training import fit, make_writer_and_batcher
from benchmarks.miniature.vlm import draw_mixture


def train_one_stage_vlm(
    base: Qwen2ForCausalLM,
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int,
    steps: int = 500,
    lr: float = 5e-4,
    keeper: Keeper | None = None,
) -> Qwen2_5_VLForConditionalGeneration:
    """Train V from B and a new tower on the mixture of V's own last stage; more steps until it sees."""
    writer, batcher = make_writer_and_batcher(processor)
    model = new_vlm(base, processor, seed)
    fit(model, optimizers.make_gentle_optimizer(model, lr), lambda rng, _: draw_mixture(writer, rng), batcher,
        steps=steps, batch=32, seed=seed + 1, stage="vlm: one stage", curve=curve,
        patience=0.06, keeper=keeper)  # fmt: skip
    return model
