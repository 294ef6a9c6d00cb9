"""A batch's model inputs, made once: token ids, positions, and what the vision tower gives for the pictures.

Called once per question, a processor gives exactly what VLMEvalKit's loop feeds the model. None of it depends
on the merged variant, since vision tower and projector always come from V, so it is kept for the next one.
"""

import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.engines.features import Features
from benchmarks.engines.lookahead import Lookahead
from benchmarks.engines.rendering import fitted, fitted_size, options, text_of
from benchmarks.engines.tensor_store import TensorStore
from benchmarks.families import Family
from benchmarks.item import Item, digest
from frism.distillation.collation import Row, collate
from frism.errors import UserError

VERSION = 2  # raised when the same batch may get other inputs


class Preparer:
    """Prepares batches for one model and processor.

    Args:
        model: the VLM; only its vision tower, projector and rule for positions are used.
        processor: its processor.
        family: the model's family, with a study's own limits and system prompt.
        weights: digest of V's checkpoint, under which files are kept; None keeps none.
        folder: where files are kept; None keeps none.
        workers: threads that prepare pictures ahead.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        family: Family,
        *,
        weights: str | None = None,
        folder: Path | None = None,
        workers: int = 0,
    ) -> None:
        self.model, self.processor, self.family = model, processor, family
        self.fingerprint, self._weights = fingerprint_processor(processor), weights
        # Vision tower and projector in one; where there is none (mllama), the forward pass runs them.
        self._encode: Any = getattr(model.base_model, "get_image_features", None)
        self._store = TensorStore(model.device, folder if weights else None)
        self._ahead = Lookahead(self._process, workers)

    def announce(self, items: Sequence[Item]) -> None:
        """Start on the pictures of a batch that will be asked for next, unless its inputs are there."""
        if not all(key in self._store for key in self._keys(items) if key):
            self._ahead.announce(items)

    @torch.inference_mode()
    def prepare(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return what the first forward pass takes, on the model's device and in its dtype.

        Either all items have pictures or none has. Raises UserError for a bad picture.
        """
        key, picture_key = self._keys(items)
        inputs, features = self._store.get(key), self._store.get(picture_key) if picture_key else {}
        if inputs is None or features is None:
            inputs, pictures = self._collate(items)
            self._store.put(key, inputs)
            if features is None:
                features = Features.of(self._encode(**pictures, return_dict=True)).to_tensors()
                self._store.put(picture_key, features)
        encoded = {"mm_encoder_outputs": {"image": Features.from_tensors(features)}} if features else {}
        return {**inputs, **encoded}

    def _keys(self, items: Sequence[Item]) -> tuple[str, str]:
        """The key of a batch, and that of its pictures, which other questions may show too ("": none)."""
        tower = [str(self.model.dtype), self._weights, torch.__version__, torch.get_num_threads()]
        rules = [VERSION, self.fingerprint, self.family.fingerprint(), tower]
        key = digest([rules, [item.content for item in items]])[:16]
        if self._encode is None or not items[0].images:
            return key, ""
        shown = [[self.family.limit(item.benchmark, None), *item.images] for item in items]
        return key, digest([rules, shown])[:16]

    def _collate(self, items: Sequence[Item]) -> tuple[Row, Row]:
        """Return what the processor gives, padded on the left, with positions; what `_encode` takes apart."""
        device, dtype = self.model.device, self.model.dtype
        pad_token = self.processor.tokenizer.pad_token_id or 0
        inputs = {
            name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in collate([self._ahead.take(item) for item in items], pad_token).items()
        }
        inputs["position_ids"] = self.model._prepare_position_ids_for_generation(inputs["input_ids"], inputs)
        taken = inspect.signature(self._encode).parameters.keys() if self._encode is not None else ()
        return inputs, {name: inputs.pop(name) for name in [*inputs] if name in taken}

    def _process(self, item: Item) -> Row:
        text = text_of(self.processor, self.family, item)
        pictures = fitted(self.family, item.pictures(), item.benchmark)
        further = options(self.family, self.processor, text, len(pictures), item.benchmark)
        try:
            given = self.processor(text=text, images=pictures or None, return_tensors="pt", **further)
        except ValueError as error:
            raise UserError(
                f"{type(self.processor).__name__} refuses question {item.index} of {item.benchmark}, because"
                f" {str(error).rstrip('.')}: use the chat template that belongs to the checkpoint."
            ) from error
        row = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
        return row


def fingerprint_processor(processor: Any) -> str:
    """Return 16 hex digits for all that turns a message into inputs: tokenizer, template, picture sizes."""
    content = [
        processor.tokenizer.backend_tokenizer.to_str(),
        processor.chat_template or processor.tokenizer.chat_template,
        processor.image_processor.to_json_string(),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def count_prompt_tokens(processor: Any, family: Family, item: Item) -> int:
    """Count a prompt's tokens, visual ones included, to within a few, by the sizes of its pictures."""
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
