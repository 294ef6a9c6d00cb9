"""Answer by VLMEvalKit's own inference loop and model class: the reference that other engines must match.

One question at a time, prompts and inputs made by VLMEvalKit alone. Its classes want a GPU, sample, and carry
token limits of their own; `vlmevalkit_wrappers` puts them around the same weights on any device.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.local_plan import VlmevalkitPlan
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.transformers_engine import TransformersEngine, measure_peak_memory
from benchmarks.answering.vlmevalkit_wrappers import ModelWrapper
from benchmarks.prompting import vlmevalkit_models
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item, read_definition
from benchmarks.questions.picture_modes import WHITE, find_rule, to_rgb
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.vlmevalkit import loading
from benchmarks.vlmevalkit.loading import set_environment
from frism.errors import UserError


class VlmevalkitLoop(VlmevalkitPlan, TransformersEngine):
    """Answers items by VLMEvalKit's `infer_data_job`."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        settings: EngineSettings,
        family: Family | None = None,
    ) -> None:
        super().__init__(model, processor, settings.model_copy(update={"workers": 0}), family=family)
        self.wrapper = ModelWrapper.of(model, processor, self.family, self.ends, self.thoughts)

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order."""
        return map(self.answer, batches)

    def answer(self, batch: Batch) -> list[Prediction]:
        """Run the loop on the batch's rows of the benchmark's TSV. Raises UserError when rows are missing."""
        start = time.perf_counter()
        inference = vlmevalkit_models.import_package("inference")
        rooms = [batching.get_token_limit(item, self.settings) for item in batch.items]
        self.wrapper.begin(batch.items, rooms)
        with tempfile.TemporaryDirectory(prefix="loop-") as folder, set_environment(PRED_FORMAT="tsv"):
            dataset = self._dataset(batch.items, Path(folder, "shown"))
            inference.infer_data_job(self.wrapper.model, folder, "reference", dataset)
        replies = self.wrapper.replies
        texts = [self.thoughts.restore(reply.text) for reply in replies]
        seconds = time.perf_counter() - start
        tokens = sum(reply.tokens for reply in replies)
        memory = measure_peak_memory(self.model.device)
        self.costs.append(Cost(batch.digest, len(replies), tokens, round(seconds, 6), memory, 1))
        return [
            Prediction(item, key, text, reply.tokens, reply.truncated, seconds / len(replies))
            for item, key, text, reply in zip(batch.items, batch.keys, texts, replies, strict=True)
        ]

    def _dataset(self, items: Sequence[Item], shown: Path) -> Any:
        """Return VLMEvalKit's dataset on the items' rows; pictures that it sees otherwise lie in `shown`."""
        definition = read_definition(items[0])
        dataset = loading.build_dataset(definition, items[0].folder / items[0].split)
        row_by_index = {str(index): row for row, index in enumerate(dataset.data["index"])}
        missing = [item.index for item in items if item.index not in row_by_index]
        if missing:
            raise UserError(
                f"{definition.dataset}.tsv lacks question {missing[0]} of {definition.name}: run"
                " python -m benchmarks.stages.items again."
            )
        data = dataset.data.iloc[[row_by_index[item.index] for item in items]]
        if "image" not in data and "image_path" in data:
            cells = [
                [self._show(path, shown) for path in cell]
                if isinstance(cell, list)
                else self._show(cell, shown)
                for cell in data["image_path"]
            ]
            data = data.assign(image_path=pd.Series(cells, index=data.index, dtype=object))
        dataset.data = data
        return dataset

    def _show(self, path: str, folder: Path) -> str:
        """Return the path of a picture as the model class shall see it: `path`, or a copy of another mode."""
        with Image.open(path) as picture:
            rule = find_rule(picture)
            if not rule and picture.mode != "LAB":  # the class converts it as Pillow does, and so do we
                return path
            dropped = rule == WHITE and self.settings.transparency == "dropped"
            converted = picture.convert("RGBA").convert("RGB") if dropped else to_rgb(picture)
        folder.mkdir(exist_ok=True)
        copy = folder / f"{hashlib.sha256(path.encode()).hexdigest()[:16]}.png"
        converted.save(copy)
        return str(copy)
