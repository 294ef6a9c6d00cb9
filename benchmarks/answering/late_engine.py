"""Open an engine when a first answer is missing, and not before: a run whose answers are there loads nothing.

Which answers are wanted follows from a plan, which reads configs and the processor. Nothing is removed from a
store by a plan's word alone: where it finds an answer missing, the engine itself is asked for its keys.
"""

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

    def become(self, triple: Triple, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Turn into another variant of the triple, in place."""

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches, one after the other, each in its order."""

    def close(self) -> None:
        """Free the memory that the weights take; the engine is not asked again."""


class LateEngine:
    """Holds an engine that may not be open yet.

    Args:
        settings: the engine's.
        plan: makes the engine's plan; None where only the engine itself can say.
        open: opens the engine. Each is called once at most, `open` once more after the engine was closed.
    """

    def __init__(
        self, settings: EngineSettings, plan: Callable[[], Plan | None], open: Callable[[], Any]
    ) -> None:
        self.settings, self._make_plan, self._open = settings, plan, open

    @cached_property
    def engine(self) -> Any:
        """The engine, opened now if it is not yet."""
        return self._open()

    @property
    def is_open(self) -> bool:
        """Whether the engine is open."""
        return "engine" in vars(self)

    def close(self) -> None:
        """Close the engine if it is open, and free its memory for a fit; it opens again if need be."""
        if self.is_open:
            self.engine.close()
            del self.engine

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
        if not self.is_open and path.is_file() and self._plan is not None:
            batches = self._plan.batches(items, origin)[part[0] :: part[1]]
            if is_complete(path, {key for batch in batches for key in batch.keys}, tolerance):
                return self._plan, batches
        return self.engine, self.engine.batches(items, origin)[part[0] :: part[1]]
