"""Measure what a stage takes, where one process goes through several: as Snakemake measures whole jobs."""

import resource
import time
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.answering.late_engine import LateEngine
from frism.files import atomic_write


class StageCost:
    """Writes a stage's seconds (`s`) and largest resident memory so far (`max_rss`, MiB) at its end.

    What an earlier run measured stays where the stage found all its work done.

    Args:
        path: TSV with the columns that tables and `frism plan` read of Snakemake's own files.
        engine: tells by its uses whether there was anything to do.
        since_start: count from the start of the process.
    """

    def __init__(self, path: Path, engine: LateEngine, *, since_start: bool = False) -> None:
        self.path, self.engine, self.since_start = path, engine, since_start

    def __enter__(self) -> None:
        self._start = psutil.Process().create_time() if self.since_start else time.time()
        self._uses = self.engine.uses

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or (self.engine.uses == self._uses and self.path.exists()):
            return
        seconds = time.time() - self._start
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with atomic_write(self.path) as temporary:
            temporary.write_text(f"s\tmax_rss\n{seconds:.4f}\t{largest:.2f}\n", encoding="utf-8")
