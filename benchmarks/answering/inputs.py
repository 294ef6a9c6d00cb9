"""A batch's inputs by the model's own processor: each question alone, then padded on the left together.

Called once per question, a processor gives exactly what VLMEvalKit's loop feeds the model. Pictures are
prepared ahead in threads, and kept for the next variant.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.answering.lookahead import Lookahead
from benchmarks.answering.rendering import fitted, fitted_size, options, text_of
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from frism.distillation.collation import ModelInputs, collate

MEMORY_LIMIT = 2**30  # bytes of inputs kept in memory for the next variant


class Inputs:
    """Makes batches of inputs for one model and processor.

    Args:
        workers: threads that prepare pictures ahead.
    """

    def __init__(self, model: Any, processor: Any, family: Family, workers: int = 0) -> None:
        self.model, self.processor, self.family = model, processor, family
        self._ahead = Lookahead(self._one, workers)
        self._kept: OrderedDict[str, ModelInputs] = OrderedDict()
        self._size = 0

    def announce(self, items: Sequence[Item]) -> None:
        """Start on the pictures of a batch that will be asked for next."""
        self._ahead.announce(item for item in items if item.content not in self._kept)

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Inputs of a batch, on the model's device, in the model's dtype. Raises UserError for a bad
        picture."""
        token = self.processor.tokenizer.pad_token_id
        return {
            name: self._placed(value)
            for name, value in collate([self._row(item) for item in items], token or 0).items()
        }

    def _row(self, item: Item) -> ModelInputs:
        row = self._kept.get(item.content)
        if row is None:
            row = self._kept[item.content] = self._ahead.take(item)
            self._size += _bytes(row)
            while self._size > MEMORY_LIMIT and len(self._kept) > 1:
                self._size -= _bytes(self._kept.popitem(last=False)[1])
        return row

    def _one(self, item: Item) -> ModelInputs:
        text = text_of(self.processor, self.family, item)
        pictures = fitted(self.family, item.pictures(), item.benchmark)
        further = options(self.family, self.processor, text, len(pictures), item.benchmark)
        given = self.processor(text=text, images=pictures or None, return_tensors="pt", **further)
        row = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
        return row

    def _placed(self, value: Tensor) -> Tensor:
        dtype = self.model.dtype if value.is_floating_point() else value.dtype
        return value.to(self.model.device, dtype)


def prompt_length(processor: Any, family: Family, item: Item) -> int:
    """Tokens of an item's prompt, visual ones included, to within a few: from the pictures' sizes alone."""
    text = text_of(processor, family, item)
    sizes = []
    for part in item.message:
        if part["type"] == "image":
            with Image.open(item.folder / part["value"]) as picture:
                sizes.append(fitted_size(family, picture.size, item.benchmark))
    length = len(processor.tokenizer(text).input_ids)
    if not sizes:
        return length
    further = options(family, processor, text, len(sizes), item.benchmark)
    if hasattr(processor, "_get_num_multimodal_tokens"):
        further.pop("add_special_tokens", None)
        counted = processor._get_num_multimodal_tokens(image_sizes=[(h, w) for w, h in sizes], **further)
        return length + sum(counted.num_image_tokens) - len(sizes)
    blank = [Image.new("RGB", size) for size in sizes]
    return processor(text=text, images=blank, return_tensors="pt", **further)["input_ids"].shape[1]


def _bytes(row: ModelInputs) -> int:
    return sum(value.nbytes for value in row.values())
