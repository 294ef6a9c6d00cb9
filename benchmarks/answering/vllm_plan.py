"""Group questions for vLLM and key their predictions: all that its engine does before it answers."""

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.inputs import count_prompt_tokens, fingerprint_processor
from benchmarks.answering.sampling import describe_decoding
from benchmarks.answering.thoughts import find_thoughts
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings

VERSION = 2  # raised when the same settings may give other predictions


class VllmPlan:
    """Groups and keys the questions of `VllmEngine`, which is one.

    Args:
        home: the folder with config and processor of the model that answers.
        processor: its processor.
        family: the model's family as the items were made for.
    """

    def __init__(self, home: Path, processor: Any, settings: EngineSettings, family: Family) -> None:
        self.home, self.processor, self.settings, self.family = home, processor, settings, family
        self.thoughts = find_thoughts(processor, family, settings)
        self.ends = find_ends(home, processor.tokenizer)
        self._processor_fingerprint = fingerprint_processor(processor)
        self._lengths: dict[str, int] = {}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which answers come out.

        Raises ImportError where vLLM, whose version is part of it, is not installed.
        """
        return {
            "engine": f"vllm {VERSION}",
            **describe_vllm(self.settings),
            "batch_size": self.settings.batch_size,
            "decoding": {
                **describe_decoding(self.settings),
                "max_new_tokens": self.settings.max_new_tokens,
                "ends": sorted(self.ends),
            },
            "family": self.family.fingerprint(),
            "processor": self._processor_fingerprint,
            **self.thoughts.fingerprint,
        }

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group questions that are enqueued at a time and whose answers are stored together."""
        return batching.make_batches(items, self.settings, origin, self.fingerprint)

    def find_length(self, batches: Iterable[Batch]) -> int:
        """Find the most tokens that a prompt of these questions has with its answer, with a few to spare."""
        return max(map(self._length, (item for batch in batches for item in batch.items)), default=1)

    def decode(self, tokens: Sequence[int]) -> str:
        """Decode an answer's tokens as the default engine does."""
        tidy = {"clean_up_tokenization_spaces": False} if self.family.verbatim else {}
        tokenizer = self.thoughts.wrap(self.processor.tokenizer)
        text = tokenizer.decode(list(tokens), skip_special_tokens=True, **tidy)
        return self.thoughts.restore(text.strip() if self.family.stripped else text)

    def _length(self, item: Item) -> int:
        question = item.question
        if question.content not in self._lengths:
            tokens = count_prompt_tokens(self.processor, self.family, question)
            self._lengths[question.content] = tokens + batching.get_token_limit(item, self.settings) + 64
        return self._lengths[question.content]


def describe_vllm(settings: EngineSettings) -> dict[str, Any]:
    """Describe what of vLLM and machine decides which tokens come out. Raises ImportError without vLLM."""
    import torch
    import vllm

    chosen, device = settings.vllm_settings, settings.torch_device
    invariant = chosen.batch_invariant or os.environ.get("VLLM_BATCH_INVARIANT") == "1"
    return {
        "dtype": settings.dtype,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "vllm": {
            "tensor_parallel": chosen.tensor_parallel,
            "max_num_seqs": chosen.max_num_seqs,
            "max_num_batched_tokens": chosen.max_num_batched_tokens,
            "block_size": chosen.block_size,
            "prefix_caching": chosen.prefix_caching,
            "eager": chosen.enforce_eager or device.type != "cuda",
            "batch_invariant": invariant,
        },
        "libraries": {
            "vllm": vllm.__version__,
            "torch": version("torch"),
            "transformers": version("transformers"),
        },
    }


def find_ends(home: Path, tokenizer: Any) -> frozenset[int]:
    """Find the tokens that end an answer: those of the generation config, else the tokenizer's."""
    from transformers import GenerationConfig

    try:
        stored = GenerationConfig.from_pretrained(home).eos_token_id
    except OSError:  # a checkpoint need not have one
        stored = None
    ends = stored if stored is not None else tokenizer.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
