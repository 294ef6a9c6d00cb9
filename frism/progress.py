"""Progress of a long step: a bar on a terminal, a line every ten seconds in a log."""

import logging
import sys
import time
from collections.abc import Callable
from logging import Logger
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

log = logging.getLogger(__name__)
EVERY = 10.0  # seconds between two lines of a log


class Progress:
    """Count up to `total`, with rate and time left, on stderr. Use as a context manager.

    Units that were done before (`done`) count, but not for the rate.
    """

    def __init__(self, label: str, total: int, unit: str = "", done: int = 0) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.before = self.count = done
        self.started = self.spoke = time.monotonic()
        self._bar: progress.Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = ("{task.description}", progress.BarColumn(), progress.MofNCompleteColumn(),
                       "{task.fields[rate]}", progress.TimeRemainingColumn())  # fmt: skip
            self._bar = progress.Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.count, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None:
            self._say(f"in {time.monotonic() - self.started:.0f} s")

    def advance(self, units: int = 1) -> None:
        """Count `units` more."""
        self.count += units
        now = time.monotonic()
        rate = (self.count - self.before) / max(now - self.started, 1e-9)
        shown = f"{rate:.1f} {self.unit}/s" if self.unit else ""
        if self._bar:
            self._bar.update(self._task, completed=self.count, rate=shown)
        elif now - self.spoke >= EVERY:
            self.spoke = now
            self._say(
                f"{shown}{', ' if shown else ''}{(self.total - self.count) / max(rate, 1e-9):.0f} s left"
            )

    def _say(self, rest: str) -> None:
        log.info("%s: %d of %d, %s", self.label, self.count, self.total, rest)


def log_steps(log: Logger) -> Callable[[int, int], None]:
    """Return a function that logs the steps done and in all: every ten seconds, and the last."""
    spoke = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal spoke
        if done >= total or time.monotonic() - spoke >= EVERY:
            spoke = time.monotonic()
            log.info("%d of %d", done, total)

    return report
