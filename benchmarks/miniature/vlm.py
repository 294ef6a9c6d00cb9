"""Train V from B: first the tower alone through the frozen language model, then both, gently."""

import random
from pathlib import Path

from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2ForCausalLM

from benchmarks.miniature import optimizers
from benchmarks.miniature import question_families as q
from benchmarks.miniature.base import LONG, LOOKUPS, SHORT, answered
from benchmarks.miniature.documents import PLAIN, WORKED, Document
from benchmarks.miniature.models import new_vlm
from benchmarks.miniature.tower import pretrain_tower
from benchmarks.miniature.training import fit, writer_and_batcher
from benchmarks.miniature.vocabulary import VisualVocabulary

SEEN = [*q.PERCEPTION.values(), q.count, q.caption, q.caption]  # counting and captions weigh double


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
) -> Qwen2_5_VLForConditionalGeneration:
    """Train V on captions, perception answers and a few short chains on request; never a long chain.

    Four stages: a visual vocabulary for the frozen language model, the tower on it, the tower through the
    frozen language model, and only then both. The language model moves late and little (`lr`), because
    what decides whether reasoning transfers is a small tau_V.
    """
    writer, batcher = writer_and_batcher(processor)
    model = new_vlm(base, processor, seed)

    def looking(rng: random.Random, progress: float) -> Document:
        return writer.chat(rng, 6, lambda: answered(rng, SEEN), seen=True)

    def mixture(rng: random.Random, progress: float) -> Document:
        kind = rng.random()
        if kind < 0.08:
            return writer.worked_text(rng, SHORT)
        if kind < 0.14:
            return writer.chat(rng, 5, lambda: answered(rng, LOOKUPS), seen=False)
        if kind < 0.30:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT), WORKED), seen=True)
        if kind < 0.34:
            return writer.chat(rng, 3, lambda: (rng.choice(SHORT + LONG), PLAIN), seen=True)
        return looking(rng, progress)

    model.model.language_model.requires_grad_(False)
    tower, vocabulary = model.model.visual, VisualVocabulary(model, processor)
    model.model.visual = vocabulary
    fit(model, optimizers.gentle(model, lr, tower_lr=2e-2), looking, batcher, prepare=vocabulary.show,
        steps=vocabulary_steps, batch=32, seed=seed + 3, stage="vlm: vocabulary", curve=curve)  # fmt: skip
    model.model.visual = tower
    pretrain_tower(model, processor, vocabulary, curve, seed=seed, steps=tower_steps)
    fit(model, optimizers.gentle(model, lr), looking, batcher,
        steps=align_steps, batch=32, seed=seed + 1, stage="vlm: align", curve=curve)  # fmt: skip
    model.model.language_model.requires_grad_(True)
    fit(model, optimizers.gentle(model, lr), mixture, batcher,
        steps=tune_steps, batch=32, seed=seed + 2, stage="vlm: tune", curve=curve)  # fmt: skip
    return model
