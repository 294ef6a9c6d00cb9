"""Draw several answers per question: which there are, the seed of each, and what an engine is asked for.

Every (question, sample) has a seed of its own, so an answer depends on neither its batch, nor the order, nor
on how far a run got, nor on how many samples there are.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.answering.predictions import StoredPrediction
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError


def list_samples(items: Iterable[Item], samples: int | None) -> list[Item]:
    """List every item once per sample, samples of one question together; as they are where it is None."""
    if samples is None:
        return list(items)
    numbers = range(samples)
    # Not by dataclasses.replace, which would digest the question anew for each.
    return [_take_sample(item, number) for item in items for number in numbers]


def count_samples(lines: Iterable[StoredPrediction], path: Path) -> int | None:
    """Count the samples per question that stored predictions hold; None where they are greedy answers.

    Raises UserError where a number between has no sample at all.
    """
    numbers = {line.sample for line in lines if line.sample is not None}
    if not numbers:
        return None
    missing = next((number for number in range(len(numbers)) if number not in numbers), None)
    if missing is not None:
        raise UserError(
            f"{path} has answers up to sample {max(numbers)} of a question, and sample {missing} of none:"
            " predict again."
        )
    return len(numbers)


def make_seed(item: Item, settings: EngineSettings) -> int | None:
    """Make the seed of one sample, of 31 bits, which every server takes; None for a greedy answer.

    It follows from the study's seed, the question's benchmark, split and index, and the sample's number: the
    same for every variant, whatever its prompt.
    """
    if settings.sampling is None:
        return None
    named = [settings.sampling.seed, item.benchmark, item.split, item.index, item.sample or 0]
    digest = hashlib.sha256(json.dumps(named).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def describe_decoding(settings: EngineSettings, **greedily: object) -> dict[str, Any]:
    """Describe for a fingerprint how tokens are chosen; `greedily`: what else is said where none is drawn."""
    budget = {} if settings.thinking_budget is None else {"thinking_budget": settings.thinking_budget}
    if settings.sampling is None:
        return {"greedy": True, **greedily, **budget}
    return {"greedy": False, "sampling": settings.sampling.identity, **budget}


def make_request(item: Item, settings: EngineSettings) -> dict[str, Any]:
    """Make what vLLM and servers take of it: temperature, and for a sample top_p, top_k (if set) and seed."""
    if settings.sampling is None:
        return {"temperature": 0}
    return {**settings.sampling.request, "seed": make_seed(item, settings)}


def _take_sample(item: Item, number: int) -> Item:
    fields = {name: value for name, value in vars(item).items() if name in Item.__dataclass_fields__}
    sample = Item(**{**fields, "sample": number})
    vars(sample)["question"] = item  # one object, whose digest is computed once
    return sample
