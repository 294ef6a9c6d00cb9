"""Write training documents (chat over a scene, plain text, copying drills) and batch them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from PIL import Image
from transformers import Qwen2_5_VLProcessor

from benchmarks.miniature import question_families as q
from benchmarks.miniature.world import COLORS, PLACES, UNITS, Scene, describe, draw_scene, render

IGNORED = -100  # label of tokens that carry no loss, as in transformers
VISUAL_TOKENS = 36  # 168x168 pixels, 28x28 each

# How a question is put and answered: (request prefix, whether the answer shows its steps).
Form = tuple[str, bool]
PLAIN: Form = ("", False)
SHORTLY: Form = (q.REQUEST_SHORT, False)
WORKED: Form = (q.REQUEST_STEPS, True)
ALOUD: Form = ("", True)  # steps without a request


@dataclass
class Document:
    """Hold token ids, a flag per token whether it is learned, and at most one picture with its scene."""

    ids: list[int] = field(default_factory=list)
    learned: list[bool] = field(default_factory=list)
    image: Image.Image | None = None
    scene: Scene | None = None

    def extend(self, ids: Sequence[int], learn: bool) -> None:
        """Append tokens that all are learned, or not."""
        self.ids += ids
        self.learned += [learn] * len(ids)


class Writer:
    """Write documents in the triple's chat format, with the tokens that its tokenizer gives (tested)."""

    def __init__(self, processor: Qwen2_5_VLProcessor) -> None:
        tokenizer = processor.tokenizer
        token = tokenizer.convert_tokens_to_ids
        self.encode = cache(lambda word: tuple(tokenizer(word, add_special_tokens=False).input_ids))
        newline = self.encode("\n")
        self.end = token("<|im_end|>")
        self.user = [token("<|im_start|>"), *self.encode("user"), *newline]
        self.assistant = [self.end, *newline, token("<|im_start|>"), *self.encode("assistant"), *newline]
        self.close = list(newline)
        self.image = [
            token("<|vision_start|>"),
            *[token("<|image_pad|>")] * VISUAL_TOKENS,
            token("<|vision_end|>"),
        ]
        self.image_token = token("<|image_pad|>")
        self.pad = tokenizer.pad_token_id

    def words(self, text: str) -> list[int]:
        """Return token ids of ` text`, word by word, which is exact because every word starts a new token."""
        return [i for word in text.split(" ") for i in self.encode(f" {word}")]

    def chat(
        self,
        rng: random.Random,
        turns: int,
        draw: Callable[[], tuple[q.Family, Form]],
        seen: bool,
        scene: Scene | None = None,
    ) -> Document:
        """Write `turns` questions about one scene, which is shown (`seen`) or described in the first turn.

        Without a given `scene` a fresh one is drawn until the first question is well posed on it.
        """
        document, asked = Document(), 0
        scene = scene or draw_scene(rng)
        while asked < turns:
            family, (request, steps) = draw()
            question = family(scene, rng)
            if question is None:
                scene = scene if asked else draw_scene(rng)
                continue
            document.extend(self.user, False)
            if asked == 0:
                document.extend(self.image if seen else self.words(describe(scene)), False)
                if seen:
                    document.image, document.scene = render(scene, rng), scene
            document.extend(self.words(request + question.text), False)
            document.extend(self.assistant, False)
            answer = question.worked() if steps and question.chain else question.answer
            document.extend([*self.words(answer), self.end], True)
            document.extend(self.close, False)
            asked += 1
        return document

    def worked_text(self, rng: random.Random, families: Sequence[q.Family], turns: int = 3) -> Document:
        """Write plain text without chat tokens: a described scene, then questions with worked chains."""
        document, scene = Document(), draw_scene(rng)
        document.extend(self.words(describe(scene)), False)
        for _ in range(turns):
            if question := rng.choice(families)(scene, rng):
                document.extend(self.words(q.REQUEST_STEPS + question.text), False)
                document.extend([*self.words(f"{question.worked()} ."), *self.close], True)
        return document

    def facts(self, rng: random.Random, count: int = 8) -> Document:
        """Write arithmetic facts as plain text. The operands are random: only what follows is learned."""
        document = Document()
        for _ in range(count):
            operands, result = q.arithmetic_fact(rng).split(" = ")
            document.extend(self.words(f"{operands} ="), False)
            document.extend(self.words(result), True)
        return document

    def copying(self, rng: random.Random, low: int, high: int) -> Document:
        """Write a random word list twice; the second copy is learned. Look-up grows from this."""
        words = [rng.choice(_COPY_WORDS) for _ in range(rng.randint(low, high))]
        once = self.words(" ".join(words))
        document = Document()
        document.extend(once + once[:1], False)
        document.extend(once[1:], True)
        return document


_COPY_WORDS = [*COLORS, *PLACES, *UNITS[:10], ";"]


class Batcher:
    """Pad documents to the right and add the processor's picture tensors."""

    def __init__(self, processor: Qwen2_5_VLProcessor, writer: Writer) -> None:
        self.images, self.writer = processor.image_processor, writer

    def __call__(self, documents: Sequence[Document]) -> dict[str, torch.Tensor]:
        """Return model inputs: ids, mask, labels of shape (documents, longest); pictures if there are any."""
        shape = (len(documents), max(len(d.ids) for d in documents))
        ids = torch.full(shape, self.writer.pad)
        mask = torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, IGNORED)
        for row, document in enumerate(documents):
            tokens, length = torch.tensor(document.ids), len(document.ids)
            ids[row, :length], mask[row, :length] = tokens, 1
            labels[row, :length] = tokens.where(torch.tensor(document.learned), IGNORED)
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if pictures := [d.image for d in documents if d.image is not None]:
            batch |= dict(self.images(images=pictures, return_tensors="pt"))
            batch["mm_token_type_ids"] = (ids == self.writer.image_token).long()
        return batch
