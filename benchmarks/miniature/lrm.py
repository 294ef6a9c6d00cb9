"""Train R from B: long worked chains on described scenes. It never sees a picture."""

import copy
import random
from pathlib import Path

from transformers import Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature.base import LONG, LOOKUPS, SHORT, draw_short_form
from benchmarks.miniature.documents import ALOUD, WORKED, Document
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.training import fit, make_writer_and_batcher


def train_lrm(
    base: Qwen2ForCausalLM,
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int = 10,
    steps: int = 150,
    lr: float = 3e-4,
    replay: float = 0.30,
    keeper: Keeper | None = None,
) -> Qwen2ForCausalLM:
    """Train R: gentle AdamW on long chains (requested, and one time in four not: the habit of an LRM), with
    short chains (two fifths of `replay`) and plain answers (three fifths) mixed in.

    Without replay R forgets what it does not rehearse.
    """
    writer, batcher = make_writer_and_batcher(processor)
    model = copy.deepcopy(base)
    long, short = round(1 - replay, 9), round(1 - 0.6 * replay, 9)

    def mixture(rng: random.Random, progress: float) -> Document:
        kind = rng.random()
        if kind < long:
            return writer.chat(
                rng, 3, lambda: (rng.choice(LONG), WORKED if rng.random() < 0.75 else ALOUD), seen=False
            )
        if kind < short:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT), WORKED), seen=False)
        return writer.chat(rng, 4, lambda: draw_short_form(rng, LOOKUPS), seen=False)

    fit(model, optimizers.make_gentle_optimizer(model, lr), mixture, batcher,
        steps=steps, batch=32, seed=seed, stage="lrm: long chains", curve=curve, keeper=keeper)  # fmt: skip
    return model
