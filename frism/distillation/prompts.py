"""A picture and a question as the model's inputs, by its own processor and chat template."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from frism.distillation.collation import ModelInputs
from frism.errors import UserError

if TYPE_CHECKING:  # slow to import, needed for names only
    from PIL.Image import Image

Question = tuple["Image", str]
NAMED = 3  # of several unreadable pictures, so many are named


def prepare_questions(
    processor: Any, questions: Sequence[Question], places: Iterable[int]
) -> list[ModelInputs]:
    """The inputs of some questions, each alone, on the CPU: "input_ids" (1, length) and what else V wants.

    `questions` is indexed once per place and may open its picture then. Raises UserError naming the pictures
    that cannot be read.
    """
    found, unread = [], []
    for place in places:
        try:
            picture, text = questions[place]
            picture = picture.convert("RGB")
        except (OSError, SyntaxError, UserError) as error:  # what PIL raises for damaged files
            unread.append(f"question {place + 1} ({str(error).rstrip('.')})")
        else:
            found.append(prepare_question(processor, picture, text))
    if unread:
        more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        raise UserError(
            f"calibration pictures cannot be read: {'; '.join(unread[:NAMED])}{more}: restore or remove them."
        )
    return found


def prepare_question(processor: Any, picture: "Image", text: str) -> ModelInputs:
    """Inputs of one question about one picture, ready for the model to begin its answer."""
    further: dict[str, Any] = {}
    if getattr(processor, "chat_template", None):
        content = [{"type": "image"}, {"type": "text", "text": text}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        start = processor.tokenizer.bos_token
        if start and text.startswith(start):  # the tokenizer would write a second one
            further["add_special_tokens"] = False
    given = processor(text=text, images=[picture], return_tensors="pt", **further)
    # PaliGemma's processor makes labels of the prompt; nothing here has any.
    row = {name: value for name, value in given.items() if isinstance(value, Tensor) and name != "labels"}
    row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
    return row
