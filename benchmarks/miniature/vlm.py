"""Train V from B: first the tower alone through the frozen language model, then both, gently."""

import random
from pathlib import Path

from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature import question_families as q
from benchmarks.miniature.base import LONG, LOOKUPS, SHORT, draw_short_form
from benchmarks.miniature.documents import PLAIN, WORKED, Document, Writer
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.models import new_vlm
from benchmarks.miniature.tower import pretrain_tower
from benchmarks.miniature.training import fit, make_writer_and_batcher
from benchmarks.miniature.vocabulary import VisualVocabulary

SEEN = [*q.PERCEPTION.values(), q.count, q.caption, q.caption]  # counting and captions weigh double


def draw_looking(writer: Writer, rng: random.Random) -> Document:
    """Draw questions on a picture with short answers: captions and perception."""
    return writer.chat(rng, 6, lambda: draw_short_form(rng, SEEN), seen=True)


def draw_mixture(writer: Writer, rng: random.Random) -> Document:
    """Draw what the language model is tuned on: looking, some short chains, some of the base's own text."""
    kind = rng.random()
    if kind < 0.08:
        return writer.worked_text(rng, SHORT)
    if kind < 0.14:
        return writer.chat(rng, 5, lambda: draw_short_form(rng, LOOKUPS), seen=False)
    if kind < 0.30:
        return writer.chat(rng, 3, lambda: (rng.choice(SHORT), WORKED), seen=True)
    if kind < 0.34:
        return writer.chat(rng, 3, lambda: (rng.choice(SHORT + LONG), PLAIN), seen=True)
    return draw_looking(writer, rng)


def train_vlm(
    base: Qwen2ForCausalLM,
    processor: Qwen2_5_VLProcessor,
    curve: Path,
    *,
    seed: int = 20,
    vocabulary_steps: int = 600,
    tower_steps: int = 500,
    align_steps: int = 500,
    tune_steps: int = 120,
    lr: float = 1e-4,
    patient: bool = False,
    keeper: Keeper | None = None,
) -> Qwen2_5_VLForConditionalGeneration:
    """Train V on captions, perception answers and a few short chains on request; never a long chain.

    Four stages: a visual vocabulary for the frozen language model, the tower on it, the tower through the
    frozen language model, and only then both. The language model moves late and little (`lr`), because
    what decides whether reasoning transfers is a small tau_V. `patient`: as in `train_base`.
    """
    writer, batcher = make_writer_and_batcher(processor)
    model = new_vlm(base, processor, seed)

    def looking(rng: random.Random, progress: float) -> Document:
        return draw_looking(writer, rng)

    def patience(loss: float) -> float | None:
        return loss if patient else None

    model.model.language_model.requires_grad_(False)
    tower, vocabulary = model.model.visual, VisualVocabulary(model, processor)
    model.model.visual = vocabulary
    fit(model, optimizers.make_gentle_optimizer(model, lr, tower_lr=2e-2), looking, batcher,
        prepare=vocabulary.show, steps=vocabulary_steps, batch=32, seed=seed + 3,
        stage="vlm: vocabulary", curve=curve, patience=patience(0.12), keeper=keeper)  # fmt: skip
    model.model.visual = tower
    pretrain_tower(model, processor, vocabulary, curve, seed=seed, steps=tower_steps, keeper=keeper)
    fit(model, optimizers.make_gentle_optimizer(model, lr), looking, batcher,
        steps=align_steps, batch=32, seed=seed + 1, stage="vlm: align", curve=curve,
        patience=patience(0.06), keeper=keeper)  # fmt: skip
    model.model.language_model.requires_grad_(True)
    fit(model, optimizers.make_gentle_optimizer(model, lr), lambda rng, _: draw_mixture(writer, rng), batcher,
        steps=tune_steps, batch=32, seed=seed + 2, stage="vlm: tune", curve=curve, keeper=keeper)  # fmt: skip
    return model
