"""Train R from B: long worked chains on described scenes. It never sees a picture."""

import copy
import random
from pathlib import Path

from transformers import Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature.base import LONG, LOOKUPS, SHORT, answered
from benchmarks.miniature.documents import ALOUD, WORKED, Document
from benchmarks.miniature.training import fit, writer_and_batcher


def train_lrm(
    base: Qwen2ForCausalLM,
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int = 10,
    steps: int = 150,
    lr: float = 3e-4,
) -> Qwen2ForCausalLM:
    """Train R: gentle AdamW on long chains (requested, and one time in four not: the habit of an LRM), with
    short chains and plain answers mixed in."""
    writer, batcher = writer_and_batcher(processor)
    model = copy.deepcopy(base)

    def mixture(rng: random.Random, progress: float) -> Document:
        kind = rng.random()
        if kind < 0.70:
            return writer.chat(
                rng, 3, lambda: (rng.choice(LONG), WORKED if rng.random() < 0.75 else ALOUD), seen=False
            )
        if kind < 0.82:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT), WORKED), seen=False)
        return writer.chat(rng, 4, lambda: answered(rng, LOOKUPS), seen=False)

    fit(model, optimizers.gentle(model, lr), mixture, batcher,
        steps=steps, batch=32, seed=seed, stage="lrm: long chains", curve=curve)  # fmt: skip
    return model
