"""Render a question's parts as what a processor takes: one text, and pictures within the family's limits."""

import math
from collections.abc import Sequence
from typing import Any

from PIL.Image import Image

from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from frism.errors import UserError

IMAGE = "<image>"
Part = dict[str, Any]


def render_text(processor: Any, family: Family, item: Item) -> str:
    """Return the prompt as text, a placeholder for every picture, up to where the answer begins."""
    question, begun = list_parts(item)
    match family.layout:
        case "bare":
            return "".join(part["value"] for part in question if part["type"] == "text")
        case "framed":
            body = "".join(IMAGE if part["type"] == "image" else part["value"] for part in question)
            return f"{family.frame[0]}{body}{family.frame[1]}{begun}"
        case "inline":
            body = "".join(family.marker if part["type"] == "image" else part["value"] for part in question)
            content = [{"type": "text", "text": body}]
        case "chat":
            content = [
                {"type": "image"} if part["type"] == "image" else {"type": "text", "text": part["value"]}
                for part in question
            ]
    conversation: list[Part] = [{"role": "user", "content": content}]
    if family.system_prompt is not None:
        conversation.insert(0, {"role": "system", "content": family.system_prompt})
    template = processor.apply_chat_template
    prompt: str = template(conversation, add_generation_prompt=True, tokenize=False)
    return prompt + begun


def list_parts(item: Item) -> tuple[list[dict[str, str]], str]:
    """Return the parts of the question, and how the answer begins ("" unless the family prescribes it)."""
    question = [part for part in item.message if part.get("role") != "assistant"]
    return question, "".join(part["value"] for part in item.message if part.get("role") == "assistant")


def resize_pictures(family: Family, pictures: Sequence[Image], dataset: str) -> list[Image]:
    """Bring pictures within the family's pixel limits, as qwen-vl-utils brings them there for VLMEvalKit."""
    return [picture.resize(compute_size(family, picture.size, dataset)) for picture in pictures]


def compute_size(family: Family, size: tuple[int, int], dataset: str) -> tuple[int, int]:
    """Return a picture's width and height within the family's limits: qwen-vl-utils' `smart_resize`.

    Raises UserError for a picture more than 200 times as long as wide, which the models refuse.
    """
    factor = family.pixel_factor
    if factor is None:
        return size
    if max(size) > 200 * min(size):
        raise UserError(f"{dataset}: a picture of {size[0]}x{size[1]} pixels is too narrow: leave it out.")
    exception = family.limit(dataset, family.min_pixels)
    least = 4 * factor**2 if exception is None else exception
    most = 16_384 * factor**2 if family.max_pixels is None else family.max_pixels
    sides = [max(factor, round(side / factor) * factor) for side in size]
    if math.prod(sides) > most:
        shrink = math.sqrt(math.prod(size) / most)
        sides = [math.floor(side / shrink / factor) * factor for side in size]
    elif math.prod(sides) < least:
        grow = math.sqrt(least / math.prod(size))
        sides = [math.ceil(side * grow / factor) * factor for side in size]
    return sides[0], sides[1]


def processor_options(
    family: Family, processor: Any, text: str, pictures: int, dataset: str
) -> dict[str, Any]:
    """Return further arguments of the processor's call, as VLMEvalKit's class for the family has them."""
    options: dict[str, Any] = {}
    if family.resized and pictures:
        options["do_resize"] = False
    if family.tiles is not None and pictures:
        most = family.limit(dataset, family.tiles)
        # VLMEvalKit shows at most 64 tiles at once.
        options |= {"crop_to_patches": True, "max_patches": max(1, min(most or 1, 64 // pictures))}
    start = processor.tokenizer.bos_token
    if family.bos_in_template and start and text.startswith(start):
        options["add_special_tokens"] = False
    return options
