"""Group questions for a local model and key their predictions: all that an engine does before it answers."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.inputs import count_prompt_tokens, fingerprint_processor
from benchmarks.answering.model_facts import ModelFacts
from benchmarks.answering.sampling import describe_decoding
from benchmarks.answering.thoughts import find_thoughts
from benchmarks.prompting.families import Family, find_family
from benchmarks.questions.item import Item
from benchmarks.registry import vlmevalkit_package
from benchmarks.study.engine_settings import EngineSettings

VERSION = 3  # raised when the same settings may give other predictions


class LocalPlan:
    """Groups and keys the questions of `TransformersEngine`, which is one.

    Args:
        facts: of the model that answers, or will.
        processor: its processor.
        settings: how to generate.
        family: the model's family as the items were made for; the default is that of its type.
    """

    def __init__(
        self, facts: ModelFacts, processor: Any, settings: EngineSettings, *, family: Family | None = None
    ) -> None:
        self.facts, self.processor, self.settings = facts, processor, settings
        self.family = family or find_family(facts.model_type)
        self.thoughts = find_thoughts(processor, self.family, settings)
        end = processor.tokenizer.eos_token_id
        self.ends = facts.ends or frozenset([end] if end is not None else [])
        self._processor_fingerprint = fingerprint_processor(processor)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which tokens come out."""
        return {
            "engine": f"{self.settings.name} {VERSION}",
            "dtype": self.facts.dtype,
            "device": self.facts.device,
            "attention": self.facts.attention,
            "batch_size": self.settings.batch_size,
            "token_budget": self.settings.token_budget,
            "decoding": {
                **describe_decoding(self.settings),
                "max_new_tokens": self.settings.max_new_tokens,
                "ends": sorted(self.ends),
            },
            "family": self.family.fingerprint(),
            "processor": self._processor_fingerprint,
            "libraries": {name: version(name) for name in ("torch", "transformers")},
            **self.thoughts.fingerprint,
        }

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group items into batches and key their predictions; see `benchmarks.answering.batching`."""
        return batching.make_batches(items, self.settings, origin, self.fingerprint, self._length)

    def _length(self, item: Item) -> int:
        return count_prompt_tokens(self.processor, self.family, item)


class VlmevalkitPlan(LocalPlan):
    """Groups and keys the questions of `VlmevalkitLoop`."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides the answers: all that the default engine names, and VLMEvalKit's source."""
        dropped = {"transparency": "dropped"} if self.settings.transparency == "dropped" else {}
        return {**super().fingerprint, "vlmeval": vlmevalkit_package.hash_installation(), **dropped}

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group questions whose answers are stored together; it changes none of them."""
        return batching.make_batches(items, self.settings, origin, self.fingerprint)
