"""Answer with one vLLM per GPU, each in a process of its own: batches are dealt out, swaps go to all.

A process sees its GPUs alone, which must be said before vLLM is imported there.
"""

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.multi_gpu import list_devices
from benchmarks.answering.orphans import end_with
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.tower_stream import describe_folders
from benchmarks.answering.vllm_engine import VllmEngine
from benchmarks.answering.vllm_model import check_installed
from benchmarks.answering.vllm_plan import VllmPlan
from benchmarks.prompting.families import Family
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


class EnginePool(VllmPlan):
    """Answers items with several `VllmEngine`s, whose arguments it takes.

    They start with the first questions.

    Attributes:
        costs: of every batch answered so far, in order.
    """

    def __init__(
        self,
        triple: Triple,
        home: Path,
        processor: Any,
        settings: EngineSettings,
        family: Family,
        recipe: Recipe | None = None,
    ) -> None:
        check_installed()
        super().__init__(home, processor, settings, family)
        self.costs: list[Cost] = []
        self._arguments = (describe_folders(triple), home, settings, family, recipe)
        self._visible = list_devices(settings)
        self._members: list[_Member] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="variants-")
        self._wanted: tuple[str, bool, str | None] | None = None

    def become(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None = None, spectra: Path | None = None
    ) -> None:
        """Turn every engine into another variant, in place. Raises UserError as `VllmEngine.become`."""
        recipe.check(triple, fitted)
        folder = Path(self._scratch.name, recipe.key)
        recipe.save(folder, fitted)
        wanted = (str(folder), fitted is not None, str(spectra.resolve()) if spectra else None)
        self._wanted = wanted
        self._ask_all("become", *wanted)

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order. Raises UserError as `VllmEngine.answers`, and when a process ends."""
        self._start()
        self._ask_all("reserve", self.find_length(batches))
        total = len(self._members)
        for number, member in enumerate(self._members):
            member.send("answers", list(batches[number::total]))
        try:
            for number in range(len(batches)):
                predictions, cost = self._members[number % total].receive()
                self.costs.append(cost)
                yield predictions
        except BaseException:
            self.close()  # what is under way would be taken for the next answers
            raise

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts in words; see `VllmEngine.complete`."""
        self._start()
        total = len(self._members)
        for number, member in enumerate(self._members):
            member.send(
                "complete", prompts[number::total], limits[number::total], list(ends), drawn[number::total]
            )
        parts = [member.receive() for member in self._members]
        return [parts[number % total][number // total] for number in range(len(prompts))]

    def close(self) -> None:
        """End all processes; what is asked next starts them again, as the same variant."""
        for member in self._members:
            member.end()
        self._members = []

    def _start(self) -> None:
        if self._members:
            return
        self._members = [
            _Member(number, self.settings.devices, self._visible, self._arguments)
            for number in range(self.settings.devices)
        ]
        if self._wanted is not None:
            self._ask_all("become", *self._wanted)

    def _ask_all(self, method: str, *arguments: Any) -> None:
        for member in self._members:
            member.send(method, *arguments)
        try:
            for member in self._members:
                member.receive()
        except UserError:
            self.close()
            raise


class _Member:
    """One process of a pool, seen from outside."""

    def __init__(self, number: int, total: int, visible: Sequence[str], arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = f"process {number} of {total}"
        self._connection, theirs = context.Pipe()
        cores = sorted(os.sched_getaffinity(0))[number::total] if hasattr(os, "sched_getaffinity") else []
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible[number]
        try:
            self._process = context.Process(
                target=_serve, args=(theirs, os.getpid(), [] if visible else cores, *arguments)
            )
            self._process.start()
        finally:
            if visible and before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            elif visible and before is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = before
        theirs.close()

    def send(self, method: str, *arguments: Any) -> None:
        """Ask for something; its results come in the order in which they were asked for."""
        with suppress(OSError):  # `receive` says that it has ended
            self._connection.send((method, arguments))

    def receive(self) -> Any:
        """Wait for a result. Raises what the process raised."""
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            raise UserError(
                f"{self.name} of engine.devices ended (its error is above): run again; finished answers are"
                " kept."
            ) from None
        if kind == "result":
            return value
        if kind == "user error":
            raise UserError(value)
        raise UnanswerableError(kind, value)

    def end(self) -> None:
        """End the process, at once if it does not do so by itself."""
        with suppress(OSError):
            self._connection.send(("close", ()))
        self._process.join(30)
        self._process.terminate()
        self._process.join()
        self._connection.close()


def _serve(
    connection: Connection,
    parent: int,
    cores: Sequence[int],
    folders: dict[str, str],
    home: Path,
    settings: EngineSettings,
    family: Family,
    recipe: Recipe | None,
) -> None:
    """Answer what comes over the connection until it closes."""
    end_with(parent)
    if cores:  # vLLM takes all that it may; several would take turns on the same
        os.sched_setaffinity(0, cores)
    from transformers import AutoProcessor

    triple = Triple.open(folders["base"], folders["vlm"], folders["lrm"])
    alone = settings.model_copy(update={"devices": 1})
    engine = VllmEngine(
        triple, home, AutoProcessor.from_pretrained(home, trust_remote_code=False), alone, family, recipe
    )
    while True:
        try:
            method, arguments = connection.recv()
        except (EOFError, OSError):
            method, arguments = "close", ()
        if method == "close":
            engine.close()
            return
        try:
            match method:
                case "become":
                    folder, is_fitted, spectra = arguments
                    variant, fitted = Recipe.load(folder)
                    engine.become(triple, variant, fitted if is_fitted else None, spectra and Path(spectra))
                    connection.send(("result", None))
                case "reserve":
                    engine.model.reserve(*arguments)
                    connection.send(("result", None))
                case "answers":
                    for predictions in engine.answers(*arguments):
                        connection.send(("result", (predictions, engine.costs[-1])))
                case "complete":
                    connection.send(("result", engine.complete(*arguments)))
        except UnanswerableError as error:
            connection.send((error.kind, str(error)))
        except UserError as error:
            connection.send(("user error", str(error)))
        except Exception:
            traceback.print_exc()
            engine.close()
            return
