"""Show the progress of a long step: a bar on a terminal, a line every ten seconds in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from logging import Logger
from types import TracebackType
from typing import Any, Self, cast

from rich import progress
from rich.console import Console

log = logging.getLogger(__name__)

LINE_SECONDS = 10.0  # between two lines of a log


class Progress:
    """Count up to `total` on stderr, with rate, time left and a note. Use as a context manager.

    Units that were done before (`done`, `skip`) count, but not for the rate.
    """

    def __init__(self, label: str, total: int, unit: str = "", done: int = 0) -> None:
        self.label, self.total, self.unit, self.note = label, total, unit, ""
        self.skipped = self.count = done
        self.started = self.written = time.monotonic()
        self._bar: progress.Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            label, note = (
                progress.TextColumn(text, markup=False)
                for text in ("{task.description}", "{task.fields[note]}")
            )
            columns = (label, progress.BarColumn(), progress.MofNCompleteColumn(), note,
                       progress.TimeRemainingColumn())  # fmt: skip
            self._bar = progress.Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.count, note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None:
            self._write(f"in {time.monotonic() - self.started:.0f} s", self.note)

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count `units` more. `note`: what else to show, such as the loss."""
        self.count, self.note = self.count + units, note
        now = time.monotonic()
        rate = (self.count - self.skipped) / max(now - self.started, 1e-9)
        speed = f"{rate:.1f} {self.unit}/s" if self.unit else ""
        if self._bar:
            self._bar.update(self._task, completed=self.count, note=_join(speed, note))
        elif now - self.written >= LINE_SECONDS:
            self.written = now
            self._write(speed, f"{(self.total - self.count) / max(rate, 1e-9):.0f} s left", note)

    def skip(self, units: int) -> None:
        """Count `units` that were done before."""
        self.count, self.skipped = self.count + units, self.skipped + units
        if self._bar:
            self._bar.update(self._task, completed=self.count)

    def _write(self, *parts: str) -> None:
        line = f"{self.label}: {self.count} of {self.total}, {_join(*parts)}"
        if log.isEnabledFor(logging.INFO):  # whoever set up logging decides where lines go
            log.info("%s", line)
        else:
            print(line, file=sys.stderr, flush=True)


def count_up(items: Sized, label: str, unit: str = "") -> Iterator[Any]:
    """Yield the items of a sized iterable, with the progress shown that a loop over them makes."""
    with Progress(label, len(items), unit) as progress:
        for item in cast("Iterable[Any]", items):
            yield item
            progress.advance()


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def log_steps(log: Logger) -> Callable[[int, int], None]:
    """Return a function that logs the steps done and in all: every ten seconds, and the last."""
    printed = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal printed
        if done >= total or time.monotonic() - printed >= LINE_SECONDS:
            printed = time.monotonic()
            log.info("%d of %d", done, total)

    return report
