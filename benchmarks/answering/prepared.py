"""A batch made ready for the model once: token ids, positions and the vision tower's output.

None of it depends on the merged variant, since vision tower, projector and embeddings always come from
V. So it is computed once per batch and kept, in memory and in files below the items folder.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.answering.lookahead import Lookahead
from benchmarks.answering.rendering import fitted, text_of
from benchmarks.prompting.families import Family, family
from benchmarks.questions.item import Item
from frism.errors import UserError
from frism.files import atomic_write

VERSION = 1
PATCHES = 16_384  # pictures enter the vision tower in groups of at most so many patches
FILE_LIMIT = 32 * 2**20  # bytes; a larger batch (big pictures, big models) is not kept in a file
MEMORY_LIMIT = 2**30  # bytes of prepared batches kept in memory, the oldest go first


@dataclass(frozen=True)
class Prepared:
    """Left-padded model inputs of one batch.

    Attributes:
        ids: token ids (batch, length). mask: 1 for tokens, 0 for padding, same shape.
        positions: mRoPE positions (3, batch, length).
        features: vision tower output for all picture tokens of the batch in order (tokens, hidden), or
            an empty tensor.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    features: Tensor

    def size(self) -> int:
        """Bytes."""
        return sum(t.numel() * t.element_size() for t in vars(self).values())


class Preparer:
    """Prepares batches for one VLM and processor.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model; only its tower, embedding ids and position rule are used.
        processor: its processor; chat template, tokenizer and picture sizes come from it.
        weights: digest of V's checkpoint, under which files are kept; None keeps none.
        folder: where files are kept; None keeps none.
        own: the model's family, with a study's own limits and system prompt.
        workers: threads that prepare pictures ahead.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        weights: str | None = None,
        folder: Path | None = None,
        own: Family | None = None,
        workers: int = 0,
    ) -> None:
        self.model, self.processor = model, processor
        self.family = own or family(model.config.model_type)
        self._ahead = Lookahead(self._pixels, workers)
        self.folder, self.weights = folder if weights else None, weights
        self.fingerprint = processor_fingerprint(processor)
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        # Suites that differ in the request show the same pictures in the same order.
        self._seen: OrderedDict[tuple[Any, ...], tuple[list[Tensor], Tensor]] = OrderedDict()

    def announce(self, items: Sequence[Item]) -> None:
        """Start on the pictures of a batch that will be asked for next, unless they are there already."""
        key = self._key(items)
        known = key in self._kept or self._pictures(items) in self._seen
        if not known and not (self.folder and (self.folder / f"{key}.safetensors").exists()):
            self._ahead.announce(items)

    def __call__(self, items: Sequence[Item]) -> Prepared:
        """The batch, from memory, from its file, or computed. Raises UserError for a bad picture."""
        key = self._key(items)
        if key in self._kept:
            return self._kept[key]
        path = self.folder / f"{key}.safetensors" if self.folder else None
        prepared = _read(path, self.model.device) if path else None
        if prepared is None:
            prepared = self._compute(items)
            if path and prepared.size() <= FILE_LIMIT:
                _write(path, prepared)
        self._kept[key] = prepared
        while sum(p.size() for p in self._kept.values()) > MEMORY_LIMIT and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return prepared

    def _key(self, items: Sequence[Item]) -> str:
        tower = [str(self.model.dtype), self.weights, torch.__version__, torch.get_num_threads()]
        rules = [self.fingerprint, self.family.fingerprint()]
        content = [VERSION, rules, tower, [item.content for item in items]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @torch.inference_mode()
    def _compute(self, items: Sequence[Item]) -> Prepared:
        grids, features = self._see(items)
        queue, rows = iter(grids), []
        for item in items:
            own = [next(queue) for _ in item.images]
            rows.append(self._tokens(item, own))
        length = max(ids.shape[0] for ids, _ in rows)
        pad = self.processor.tokenizer.pad_token_id
        ids = torch.full((len(rows), length), pad)
        mask = torch.zeros_like(ids)
        positions = torch.zeros(3, len(rows), length, dtype=torch.long)
        for row, (tokens, places) in enumerate(rows):
            start = length - tokens.shape[0]
            ids[row, start:], mask[row, start:], positions[:, row, start:] = tokens, 1, places
        device = self.model.device
        return Prepared(ids.to(device), mask.to(device), positions.to(device), features)

    def _see(self, items: Sequence[Item]) -> tuple[list[Tensor], Tensor]:
        """Grid of each picture in patches, and the tower's output for all of them."""
        key = self._pictures(items)
        if key not in self._seen:
            self._seen[key] = self._look(items)
            while sum(f.nbytes for _, f in self._seen.values()) > MEMORY_LIMIT // 4 and len(self._seen) > 1:
                self._seen.popitem(last=False)
        return self._seen[key]

    def _pictures(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """What identifies the pictures of a batch, as the model sees them."""
        limits = {self.family.limit(item.benchmark, None) for item in items}
        return (*limits, *(digest for item in items for digest in item.images))

    def _pixels(self, item: Item) -> list[tuple[Tensor, Tensor]]:
        """Patches and grid of each picture of an item."""
        found = []
        for picture in fitted(self.family, item.pictures(), item.benchmark):
            inputs = self.processor.image_processor(images=[picture], return_tensors="pt")
            found.append((inputs["pixel_values"], inputs["image_grid_thw"][0]))
        return found

    def _look(self, items: Sequence[Item]) -> tuple[list[Tensor], Tensor]:
        model = self.model
        grids: list[Tensor] = []
        features: list[Tensor] = []
        waiting: list[tuple[Tensor, Tensor]] = []

        def flush() -> None:
            if waiting:
                pixels = torch.cat([p for p, _ in waiting]).to(model.device)
                grid = torch.stack([g for _, g in waiting]).to(model.device)
                output = model.model.get_image_features(pixels, grid, return_dict=True).pooler_output
                features.extend(output)
                waiting.clear()

        for item in items:
            for pixels, grid in self._ahead.take(item):
                grids.append(grid)
                if sum(p.shape[0] for p, _ in waiting) + pixels.shape[0] > PATCHES:
                    flush()
                waiting.append((pixels, grid))
        flush()
        hidden = model.get_input_embeddings().weight.shape[1]
        empty = torch.zeros(0, hidden, dtype=model.dtype, device=model.device)
        return grids, torch.cat([empty, *features])

    def _tokens(self, item: Item, grids: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Token ids (length,) with a placeholder per visual token, and positions (3, length)."""
        processor = self.processor
        text = text_of(processor, self.family, item)
        merged = processor.image_processor.merge_size**2
        pieces = text.split(processor.image_token)
        if len(pieces) != len(grids) + 1:
            raise UserError(
                f"the chat template of {type(processor).__name__} shows {len(pieces) - 1} pictures of"
                f" {len(grids)}: use the template that belongs to the checkpoint."
            )
        for i, grid in enumerate(grids):
            pieces[i] += processor.image_token * (int(grid.prod()) // merged)
        ids = torch.tensor(processor.tokenizer("".join(pieces)).input_ids)
        if not grids:
            return ids, torch.arange(len(ids)).expand(3, -1)
        kinds = (ids == processor.image_token_id).long()
        positions, _ = self.model.model.get_rope_index(
            ids[None], kinds[None], image_grid_thw=torch.stack(grids)
        )
        return ids, positions[:, 0]


def processor_fingerprint(processor: Any) -> str:
    """16 hex digits for everything that turns a message into inputs: tokenizer, template, picture sizes."""
    content = [
        processor.tokenizer.backend_tokenizer.to_str(),
        processor.chat_template or processor.tokenizer.chat_template,
        processor.image_processor.to_json_string(),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read(path: Path, device: torch.device) -> Prepared | None:
    try:
        return Prepared(**load_file(path, device=str(device)))
    except (OSError, SafetensorError, TypeError):
        return None  # not there, or cut short by a full disk: it is made again


def _write(path: Path, prepared: Prepared) -> None:
    try:
        with atomic_write(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in vars(prepared).items()}, temporary)
    except UserError:
        pass  # a read-only items folder costs time, nothing else
