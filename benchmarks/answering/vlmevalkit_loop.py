"""VLMEvalKit's own inference loop with its own model class: the reference that other engines must agree with.

One question at a time, prompts and inputs made by VLMEvalKit alone. Its classes want a GPU, sample, and carry
token limits of their own; `vlmevalkit_wrappers` puts them around the same weights on any device.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.transformers_engine import TransformersEngine, peak_memory
from benchmarks.answering.vlmevalkit_wrappers import ModelWrapper
from benchmarks.prompting import vlmevalkit_models
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item, definition_of
from benchmarks.registry import vlmevalkit_package
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.vlmevalkit import loading
from benchmarks.vlmevalkit.loading import environment
from frism.errors import UserError


class VlmevalkitLoop(TransformersEngine):
    """Answers items by VLMEvalKit's `infer_data_job`."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        settings: EngineSettings,
        own: Family | None = None,
    ) -> None:
        super().__init__(model, processor, settings.model_copy(update={"workers": 0}), own=own)
        self.speaker = ModelWrapper.of(model, processor, self.family, self.ends)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """As the default engine's; VLMEvalKit's source decides too."""
        return {**super().fingerprint, "vlmeval": vlmevalkit_package.hash_installation()}

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """How many questions are done before their answers are stored; it changes none of them."""
        return batching.batches(items, self.settings, origin, self.fingerprint)

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order."""
        return map(self.answer, batches)

    def answer(self, batch: Batch) -> list[Prediction]:
        """Run the loop on the batch's rows of the benchmark's TSV. Raises UserError when rows are missing."""
        start = time.perf_counter()
        inference = vlmevalkit_models.package("inference")
        dataset = self._dataset(batch.items)
        self.speaker.begin([batching.room(item, self.settings) for item in batch.items])
        with tempfile.TemporaryDirectory(prefix="loop-") as folder, environment(PRED_FORMAT="tsv"):
            inference.infer_data_job(self.speaker.model, folder, "reference", dataset)
        said = self.speaker.said
        seconds = time.perf_counter() - start
        tokens = sum(reply.tokens for reply in said)
        memory = peak_memory(self.model.device)
        self.costs.append(Cost(batch.digest, len(said), tokens, round(seconds, 6), memory, 1))
        return [
            Prediction(item, key, reply.text, reply.tokens, reply.truncated, seconds / len(said))
            for item, key, reply in zip(batch.items, batch.keys, said, strict=True)
        ]

    def _dataset(self, items: Sequence[Item]) -> Any:
        definition = definition_of(items[0])
        dataset = loading.build(definition, items[0].folder / items[0].split)
        places = {str(index): place for place, index in enumerate(dataset.data["index"])}
        missing = [item.index for item in items if item.index not in places]
        if missing:
            raise UserError(
                f"{definition.dataset}.tsv lacks question {missing[0]} of {definition.name}: run"
                " python -m benchmarks.stages.items again."
            )
        dataset.data = dataset.data.iloc[[places[item.index] for item in items]]
        return dataset
