"""Open an engine when a first answer is missing, and not before: a run whose answers are there loads nothing.

Which answers are wanted follows from a plan, which reads configs and the processor. Nothing is removed from a
store by a plan's word alone: where it finds an answer missing, the engine itself is asked for its keys.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.failures import Tolerance
from benchmarks.answering.predictions import Prediction, is_complete
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


class Plan(Protocol):
    """Groups items into batches and keys their predictions."""

    settings: EngineSettings

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which answers come out."""

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group items into batches and key their predictions."""


class Engine(Plan, Protocol):
    """Answers items in batches; `TransformersEngine` is the default one."""

    costs: list[Cost]

    def close(self) -> None:
        """Let go of the weights."""

    def become(self, triple: Triple, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Turn into another variant of the triple, in place."""

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches, one after the other, each in its order."""


class LateEngine:
    """Holds an engine that may not be open yet, and the variant that it shall be when it is asked.

    Args:
        settings: the engine's.
        plan: makes the engine's plan; None where only the engine itself can say.
        open: opens the engine. `plan` is called once at most, `open` again only after `close`.

    Attributes:
        uses: how often the engine itself was needed.
    """

    def __init__(
        self, settings: EngineSettings, plan: Callable[[], Plan | None], open: Callable[[], Any]
    ) -> None:
        self.settings, self._make_plan, self._open = settings, plan, open
        self._engine: Any = None
        self._wanted: tuple[Triple, Recipe, Fitted, Path | None] | None = None
        self._held: str | None = None  # key of the recipe that the open engine's weights follow
        self.uses = 0

    def turn_into(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None, spectra: Path | None = None
    ) -> None:
        """Answer from now on as this variant: nothing is loaded or merged before it is asked."""
        self._wanted = triple, recipe, fitted or Fitted(), spectra

    @property
    def engine(self) -> Any:
        """The engine, opened and turned into the wanted variant now if it is not yet."""
        self.uses += 1
        if self._engine is None:
            self._engine = self._open()
        if self._wanted is not None and self._wanted[1].key != self._held:
            self._held = None  # whatever comes of it, the weights are no longer the former variant's
            self._engine.become(*self._wanted)
            self._held = self._wanted[1].key
        return self._engine

    def close(self) -> None:
        """Let go of the engine and its memory; it is opened again when it is needed again."""
        if self._engine is None:
            return
        self._engine.close()
        self._engine = self._held = None
        free_memory()

    @cached_property
    def _plan(self) -> Plan | None:
        return self._make_plan()

    def group(
        self,
        items: Iterable[Item],
        origin: Mapping[str, Any],
        path: Path,
        tolerance: Tolerance,
        part: tuple[int, int] = (0, 1),
    ) -> tuple[Plan, list[Batch]]:
        """Group items, or the i-th of n parts of their batches, and say by whose word.

        It is the plan's if the predictions in `path` are complete by it, else the engine's, which is then
        open. Raises UserError for a file that is broken, and what opening the engine does.
        """
        items = list(items)
        if self._engine is None and path.is_file() and self._plan is not None:
            batches = self._plan.batches(items, origin)[part[0] :: part[1]]
            if is_complete(path, {key for batch in batches for key in batch.keys}, tolerance):
                return self._plan, batches
        engine = self._engine or self.engine  # grouping goes by no weights: nothing is merged for it
        return engine, engine.batches(items, origin)[part[0] :: part[1]]


def free_memory() -> None:
    """Free the memory of models that nothing holds any more: they are referred to in circles."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
