"""Train B: the language, look-up in described scenes, arithmetic facts, short worked chains."""

import random
from collections.abc import Sequence
from pathlib import Path

from transformers import Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature import question_families as q
from benchmarks.miniature.documents import PLAIN, SHORTLY, WORKED, Document, Form
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.models import new_language_model
from benchmarks.miniature.training import fit, make_writer_and_batcher
from benchmarks.miniature.world import draw_scene

LOOKUPS = [*q.PERCEPTION.values(), q.caption]
SHORT, LONG = list(q.SHORT.values()), list(q.REASONING.values())


def draw_short_form(rng: random.Random, families: Sequence[q.Family]) -> tuple[q.Family, Form]:
    """Draw a family and a form with a short answer, requested as such or not."""
    return rng.choice(families), SHORTLY if rng.random() < 0.6 else PLAIN


def train_base(
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int = 0,
    copy_steps: int = 400,
    steps: int = 2400,
    request_steps: int = 250,
    patient: bool = False,
    keeper: Keeper | None = None,
) -> Qwen2ForCausalLM:
    """Train B from nothing: copying, then a mixture with short chains as plain text and direct chat answers,
    and last some chat in which short chains are requested (see the model card for why).

    `patient`: whether a stage whose loss is not down yet gets more steps (`fit`); the committed B was not.
    """

    def patience(loss: float) -> float | None:
        return loss if patient else None

    writer, batcher = make_writer_and_batcher(processor)
    model = new_language_model(processor.tokenizer, seed)

    def drill(rng: random.Random, progress: float) -> Document:
        return writer.copying(rng, 3, 10)

    def mixture(rng: random.Random, progress: float) -> Document:
        kind = rng.random()
        if kind < 0.06:
            return writer.copying(rng, 3, 12)
        if kind < 0.14:
            return writer.facts(rng)
        if progress > 0.35 and kind < 0.40:
            return writer.worked_text(rng, SHORT)
        if progress > 0.25 and kind < 0.47:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT + LONG), PLAIN), seen=False)
        if progress < 0.1:
            return small_scene(rng)
        return writer.chat(rng, 6, lambda: draw_short_form(rng, LOOKUPS), seen=False)

    def requests(rng: random.Random, progress: float) -> Document:
        kind = rng.random()
        if kind < 0.06:
            return writer.copying(rng, 3, 12)
        if kind < 0.14:
            return writer.facts(rng)
        if kind < 0.34:
            return writer.worked_text(rng, SHORT)
        if kind < 0.50:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT), WORKED), seen=False)
        if kind < 0.54:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT + LONG), PLAIN), seen=False)
        return writer.chat(rng, 6, lambda: draw_short_form(rng, LOOKUPS), seen=False)

    def small_scene(rng: random.Random) -> Document:
        return writer.chat(
            rng, 3, lambda: draw_short_form(rng, LOOKUPS), seen=False, scene=draw_scene(rng, tiles=2)
        )

    fit(model, optimizers.make_pretraining_optimizers(model, 2e-3, 4e-3), drill, batcher,
        steps=copy_steps, batch=64, seed=seed, stage="base: copying", curve=curve,
        patience=patience(0.6), keeper=keeper)  # fmt: skip
    fit(model, optimizers.make_pretraining_optimizers(model, 2e-3, 4e-3), mixture, batcher,
        steps=steps, batch=32, seed=seed + 1, stage="base: mixture", curve=curve,
        patience=patience(0.08), keeper=keeper)  # fmt: skip
    fit(model, optimizers.make_pretraining_optimizers(model, 1e-3, 2e-3), requests, batcher, decay=0.7,
        steps=request_steps, batch=32, seed=seed + 2, stage="base: requests", curve=curve,
        keeper=keeper)  # fmt: skip
    return model
