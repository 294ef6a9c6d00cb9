"""Make a batch's model inputs once: token ids, positions, and what the vision tower gives for the pictures.

Called once per question, a processor gives exactly what VLMEvalKit's loop feeds the model. None of it depends
on the merged variant, since vision tower and projector always come from V, so it is kept for the next one.
"""

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.answering.features import flatten_outputs, restore_features
from benchmarks.answering.lookahead import Lookahead
from benchmarks.answering.patch_embedding import list_patch_embeddings, multiply_patches
from benchmarks.answering.positions import check_length, read_positions
from benchmarks.answering.rendering import compute_size, processor_options, render_text, resize_pictures
from benchmarks.answering.tensor_store import TensorStore
from benchmarks.prompting.families import Family
from benchmarks.questions.item import UNDECODABLE, Item, digest_json
from benchmarks.questions.unanswerable import UnanswerableError
from frism.distillation.collation import ModelInputs, collate
from frism.errors import UserError

VERSION = 3  # raised when the same batch may get other inputs
PIXEL_VALUES = 2**22  # pictures enter the vision tower in groups of at most so many values


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
        self._embeddings = list_patch_embeddings(model)
        self._encoded = inspect.signature(self._encode).parameters.keys() if self._encode else ()
        self._store = TensorStore(model.device, folder if weights else None)
        self._ahead = Lookahead(self.process, workers)

    @torch.inference_mode()
    def find_failures(self, items: Iterable[Item]) -> dict[str, UnanswerableError]:
        """Return why items cannot be answered, by their content; those that can be are not in it."""
        failures: dict[str, UnanswerableError] = {}
        for item in items:
            try:
                self._take(item)
            except UnanswerableError as failure:
                failures[item.content] = failure
        return failures

    def announce(self, items: Sequence[Item]) -> None:
        """Start on the pictures of a batch that will be asked for next, unless its inputs are there."""
        if not all(key in self._store for key in self._keys(items) if key):
            self._ahead.announce(items)

    @torch.inference_mode()
    def prepare(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return what the first forward pass takes, on the model's device and in its dtype.

        Either all items have pictures or none has. Raises UnanswerableError for a picture that cannot be
        decoded and a prompt that is too long.
        """
        key, picture_key = self._keys(items)
        inputs, features = self._store.get(key), self._store.get(picture_key) if picture_key else {}
        if inputs is None or features is None:
            rows: list[ModelInputs] = []
            outputs = []
            pixels = "pixel_" if self._encode else ()
            for group in _group_rows(self._take(item) for item in items):
                if features is None:
                    outputs.append(self._encode_group(group))
                # Pixels are most of a batch; what stays of them says the pictures' sizes, for positions.
                rows += [{n: row[n] for n in row if not n.startswith(pixels)} for row in group]
            inputs = self._collate(rows)
            self._store.put(key, inputs)
            if features is None:
                features = flatten_outputs(outputs)
                self._store.put(picture_key, features)
        encoded = {"mm_encoder_outputs": {"image": restore_features(features)}} if features else {}
        return {**inputs, **encoded}

    def _keys(self, items: Sequence[Item]) -> tuple[str, str]:
        """Return the keys of a batch and of its pictures, which other questions may show too ("": none)."""
        tower = [str(self.model.dtype), self._weights, torch.__version__, torch.get_num_threads()]
        rules = [VERSION, self.fingerprint, self.family.fingerprint(), tower]
        key = digest_json([rules, [item.content for item in items]])[:16]
        if self._encode is None or not items[0].images:
            return key, ""
        shown = [[self.family.limit(item.benchmark, None), *item.images] for item in items]
        return key, digest_json([rules, shown])[:16]

    def _encode_group(self, rows: Sequence[ModelInputs]) -> Any:
        pictures = [{name: row[name] for name in row if name in self._encoded} for row in rows]
        with multiply_patches(self._embeddings):
            return self._encode(**self._place(pictures), return_dict=True)

    def _collate(self, rows: Sequence[ModelInputs]) -> ModelInputs:
        """Pad rows on the left together, with the positions of their tokens, without the encoder's inputs."""
        inputs = self._place(rows)
        inputs["position_ids"] = self.model._prepare_position_ids_for_generation(inputs["input_ids"], inputs)
        return {name: tensor for name, tensor in inputs.items() if name not in self._encoded}

    def _place(self, rows: Sequence[ModelInputs]) -> ModelInputs:
        device, dtype = self.model.device, self.model.dtype
        return {
            name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in collate(rows, self.processor.tokenizer.pad_token_id or 0).items()
        }

    def process(self, item: Item, pictures: Sequence[Image.Image] | None = None) -> ModelInputs:
        """Return one question's row on the CPU, without padding.

        Args:
            pictures: RGB, as many as the item has, in the place of its own.

        Raises UserError for a chat template that does not belong to the processor, UnanswerableError for a
        picture that cannot be decoded.
        """
        text = render_text(self.processor, self.family, item)
        shown = list(item.pictures() if pictures is None else pictures)
        pictures = resize_pictures(self.family, shown, item.benchmark)
        further = processor_options(self.family, self.processor, text, len(pictures), item.benchmark)
        try:
            outputs = self.processor(text=text, images=pictures or None, return_tensors="pt", **further)
        except ValueError as error:
            raise UserError(
                f"{type(self.processor).__name__} refuses question {item.index} of {item.benchmark}, because"
                f" {str(error).rstrip('.')}: use the chat template that belongs to the checkpoint."
            ) from error
        row = {name: value for name, value in outputs.items() if isinstance(value, Tensor)}
        row.setdefault("attention_mask", torch.ones_like(row["input_ids"]))
        return row

    def _take(self, item: Item) -> ModelInputs:
        """Return an item's row. Raises UnanswerableError for a prompt without a position for an answer."""
        row = self._ahead.take(item)
        limit = read_positions(self.model.config)
        if limit is not None and row["input_ids"].shape[1] >= limit:
            # Some families count a picture's tokens in rows and columns: their prompts take fewer positions.
            inputs = self._place([row])
            positions = self.model._prepare_position_ids_for_generation(inputs["input_ids"], inputs)
            check_length(item, int(positions.max()) + 1, limit)
        return row


def _group_rows(rows: Iterable[ModelInputs]) -> Iterator[list[ModelInputs]]:
    """Yield groups of successive rows of at most PIXEL_VALUES values, which bounds the tower's memory."""
    group: list[ModelInputs] = []
    size = 0
    for row in rows:
        values = row["pixel_values"].numel() if "pixel_values" in row else 0
        if group and size + values > PIXEL_VALUES:
            yield group
            group, size = [], 0
        group.append(row)
        size += values
    yield group


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
    text = render_text(processor, family, item)
    sizes = []
    for part in item.message:
        if part["type"] == "image":
            # What cannot be decoded has no size; it is told when the question is answered.
            with suppress(*UNDECODABLE), Image.open(item.folder / part["value"]) as picture:
                sizes.append(compute_size(family, picture.size, item.benchmark))
    length: int = len(processor.tokenizer(text).input_ids)
    if not sizes:
        return length
    further = processor_options(family, processor, text, len(sizes), item.benchmark)
    if hasattr(processor, "_get_num_multimodal_tokens"):
        further.pop("add_special_tokens", None)
        counted = processor._get_num_multimodal_tokens(image_sizes=[(h, w) for w, h in sizes], **further)
        return length + int(sum(counted.num_image_tokens)) - len(sizes)
    blank = [Image.new("RGB", size) for size in sizes]
    inputs = processor(text=text, images=blank, return_tensors="pt", **further)
    return int(inputs["input_ids"].shape[1])
