"""The committed miniature for tests with vLLM itself: its triple, its questions, and who answers them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.answering.engine import open_engine
from benchmarks.questions import reading, writing
from benchmarks.questions.item import Item
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.vllm_settings import VllmSettings
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support.studies import WEIGHTS

MARKS = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here: run make vllm"),
]
SUITES = ["mini_number", "mini_place", "mini_total"]
# The default block of 128 tokens is longer than the miniature's prompts: nothing would be found in the cache.
SMALL_BLOCKS = VllmSettings(block_size=32, max_model_len=512)
Answers = list[tuple[str, int, bool]]


def settings(name: str = "vllm", **further: Any) -> EngineSettings:
    """An engine's settings: small blocks, and as much of an answer as shows what a model does."""
    given = {"vllm": SMALL_BLOCKS} if name in ("vllm", "openai") else {}
    return EngineSettings(**{"name": name, "batch_size": 40, "max_new_tokens": 32, **given, **further})


def open_miniature() -> Triple:
    """The trained triple that lies in the repository."""
    return Triple.open(**WEIGHTS)


def write_questions(folder: Path, number: int) -> None:
    """Write so many questions of each of SUITES."""
    definitions = [find(name).model_copy(update={"sha256": {}}) for name in SUITES]
    writing.write_items(folder, definitions, {"test": number})


def read_questions(folder: Path) -> list[Item]:
    """Read them, in order."""
    return [item for group in reading.load_items(folder, "test", SUITES).values() for item in group]


def ask(engine: Any, items: Sequence[Item]) -> Answers:
    """What an engine answers: text, tokens, and whether it was cut."""
    found = [p for batch in engine.answers(engine.batches(items, {})) for p in batch]
    return [(p.raw, p.tokens, p.truncated) for p in found]


def inject(triple: Triple, strength: float) -> Recipe:
    """A variant that is quick to make."""
    return Recipe.make(triple, "inject", {"strength": strength})


@contextmanager
def opened(triple: Triple, given: EngineSettings, items: Path | None = None) -> Iterator[Any]:
    """An engine for V that is closed afterwards."""
    engine = open_engine(triple, None, None, given, items)
    try:
        yield engine
    finally:
        engine.close()


def list_children(parent: int) -> set[int]:
    """The processes that descend from one, vLLM's among them."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(folder.name)] = int(fields[1])
    found: set[int] = set()
    while more := {child for child, of in parents.items() if of in found | {parent}} - found:
        found |= more
    return found


def are_running(processes: set[int]) -> set[int]:
    """Which of these processes still run."""
    running = set()
    for process in processes:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            os.kill(process, 0)
        except OSError:
            continue
        if state != "Z":
            running.add(process)
    return running


def repeat(items: Sequence[Item], times: int) -> list[Item]:
    """Ask the same again under other names: equal prompts and pictures, as caches see them."""
    return [replace(item, index=f"{item.index}-{n}") for n in range(times) for item in items]
