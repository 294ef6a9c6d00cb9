"""The engine: turns a variant and items into predictions, in batches, greedily, with transformers."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.greedy import greedy
from benchmarks.items import Item
from benchmarks.predictions import Prediction
from benchmarks.prepared import Preparer
from frism.errors import UserError

VERSION = 1  # raised when the same settings may give other predictions


class Settings(BaseModel):
    """How answers are generated."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["transformers"] = "transformers"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    batch_size: int = Field(default=256, ge=1)
    max_new_tokens: int = Field(default=48, ge=1)

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read the JSON of a command line. Raises UserError in one sentence."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise UserError(f"--engine: {where}: {first['msg']}.") from None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch knows it."""
        return getattr(torch, self.dtype)

    @property
    def torch_device(self) -> torch.device:
        """The device; "auto" is CUDA where there is one. Raises UserError when CUDA is asked for in vain."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("engine.device is cuda, but torch sees no GPU: set it to cpu or auto.")
        wanted = "cuda" if self.device == "auto" and torch.cuda.is_available() else self.device
        return torch.device("cpu" if wanted == "auto" else wanted)


@dataclass(frozen=True)
class Batch:
    """Items answered together, and the keys of their predictions."""

    items: tuple[Item, ...]
    keys: tuple[str, ...]


class Engine:
    """Answers items with one loaded VLM.

    Args:
        model: the VLM, in eval mode. `frism.variants.apply` may change its language tower between calls.
        processor: its processor.
        settings: how to generate; dtype and device must be the model's.
        weights: digest of V's checkpoint. With it, prepared batches are kept in files in `folder`.
        folder: usually `<items>/prepared`.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        settings: Settings,
        *,
        weights: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.model, self.processor, self.settings = model, processor, settings
        self.prepare = Preparer(model, processor, weights=weights, folder=folder)
        ends = model.generation_config.eos_token_id
        self.ends = frozenset([ends] if isinstance(ends, int) else ends or []) | {
            processor.tokenizer.eos_token_id
        }

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides, beside weights and items, which tokens come out."""
        device = self.model.device
        return {
            "engine": f"{self.settings.name} {VERSION}",
            "dtype": str(self.model.dtype),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "batch_size": self.settings.batch_size,
            "decoding": {
                "greedy": True,
                "max_new_tokens": self.settings.max_new_tokens,
                "ends": sorted(self.ends),
            },
            "processor": self.prepare.fingerprint,
            "libraries": {name: version(name) for name in ("torch", "transformers")},
        }

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group items into batches and key their predictions.

        Batches never span benchmarks and are of nearly equal size, so they depend on nothing but the
        benchmark's own items: what was answered before a kill does not change how the rest is answered.

        Args:
            origin: what identifies the weights, such as {"triple": digests, "recipe": key}.
        """
        by_benchmark: dict[str, list[Item]] = {}
        for item in items:
            by_benchmark.setdefault(item.benchmark, []).append(item)
        result = []
        for group in by_benchmark.values():
            parts = -(-len(group) // self.settings.batch_size)
            for part in range(parts):
                chunk = group[part * len(group) // parts : (part + 1) * len(group) // parts]
                contents = [item.content for item in chunk]
                common = _digest([origin, self.fingerprint, contents])
                result.append(Batch(tuple(chunk), tuple(_digest([common, c])[:16] for c in contents)))
        return result

    def answer(self, batch: Batch) -> list[Prediction]:
        """Answer one batch, in its order."""
        start = time.perf_counter()
        prepared = self.prepare(batch.items)
        tokens = greedy(
            self.model,
            prepared.ids,
            prepared.mask,
            positions=prepared.positions,
            features=prepared.features,
            max_new_tokens=self.settings.max_new_tokens,
            ends=self.ends,
        )
        texts = self.processor.tokenizer.batch_decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        seconds = (time.perf_counter() - start) / len(batch.items)
        predictions = []
        for item, key, row, text in zip(batch.items, batch.keys, tokens, texts, strict=True):
            ended = row[-1] in self.ends
            predictions.append(Prediction(item, key, text, len(row) - ended, not ended, seconds))
        return predictions

    def generate(
        self, items: Iterable[Item], origin: Mapping[str, Any] | None = None
    ) -> Iterator[list[Prediction]]:
        """Answer all items, a batch at a time."""
        for batch in self.batches(items, origin or {}):
            yield self.answer(batch)


def open_engine(
    triple: Any, recipe: Any, fitted: Any, settings: Settings, items: str | Path | None = None
) -> Engine:
    """Load V, merge the variant into it (None: V itself) and return its engine.

    Args:
        triple: a `frism.triples.Triple`. recipe, fitted: what `Recipe.load` returned.
        items: the items folder, below which prepared batches are kept.
    """
    from transformers import AutoProcessor, logging

    from frism import variants

    logging.disable_progress_bar()
    device = settings.torch_device
    model = variants.load(triple, recipe, fitted, dtype=settings.torch_dtype, device=device)
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    folder = Path(items) / "prepared" if items else None
    return Engine(model, processor, settings, weights=triple.digest["vlm"], folder=folder)


def origin(triple: Any, recipe: Any) -> dict[str, Any]:
    """What identifies a variant's weights: the three checkpoints' digests and the recipe's key."""
    return {"triple": triple.digest, "recipe": recipe.key if recipe else None}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


__all__: Sequence[str] = ["Batch", "Engine", "Settings", "open_engine", "origin"]
