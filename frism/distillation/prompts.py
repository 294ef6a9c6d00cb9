"""Prepare a picture and a question as the model's inputs, with its own processor and chat template."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from frism.distillation.collation import ModelInputs
from frism.errors import UserError

if TYPE_CHECKING:  # slow to import, needed for names only
    from PIL.Image import Image

Question = tuple["Image", str]
MAX_NAMED = 3  # unreadable pictures that a message names


def prepare_questions(
    processor: Any, questions: Sequence[Question], indices: Iterable[int]
) -> list[ModelInputs]:
    """Return the inputs of some questions, each alone, on the CPU: "input_ids" (1, length) and what V takes.

    `questions` is indexed once per index and may open its picture then. Raises UserError naming the pictures
    that cannot be read.
    """
    inputs, unreadable = [], []
    for index in indices:
        try:
            picture, text = questions[index]
            picture = picture.convert("RGB")
        except (OSError, SyntaxError, UserError) as error:  # what PIL raises for damaged files
            unreadable.append(f"question {index + 1} ({str(error).rstrip('.')})")
        else:
            inputs.append(prepare_question(processor, picture, text))
    if unreadable:
        more = f" and {len(unreadable) - MAX_NAMED} more" if len(unreadable) > MAX_NAMED else ""
        raise UserError(
            f"calibration pictures cannot be read: {'; '.join(unreadable[:MAX_NAMED])}{more}: restore or "
            "remove them."
        )
    return inputs


def prepare_texts(processor: Any, questions: Sequence[Question], indices: Iterable[int]) -> list[ModelInputs]:
    """Return the inputs of some questions without their pictures: what a language model can be asked."""
    return [prepare_question(processor, None, questions[index][1]) for index in indices]


def prepare_question(processor: Any, picture: "Image | None", text: str) -> ModelInputs:
    """Return the inputs of one question about one picture, ready for the model to begin its answer."""
    options: dict[str, Any] = {}
    if getattr(processor, "chat_template", None):
        content = [{"type": "image"}] * (picture is not None) + [{"type": "text", "text": text}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        start = processor.tokenizer.bos_token
        if start and text.startswith(start):  # the tokenizer would write a second one
            options["add_special_tokens"] = False
    if picture is not None:
        options["images"] = [picture]
    outputs = processor(text=text, return_tensors="pt", **options)
    # PaliGemma's processor makes labels of the prompt; nothing here has any.
    row = {name: value for name, value in outputs.items() if isinstance(value, Tensor) and name != "labels"}
    row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
    return row
