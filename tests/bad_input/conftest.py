"""Bad input by the thousand: how cases are generated, bounded, judged and counted.

A case ends well when the reader returns a value or refuses it in one sentence of the project's own that
names the file. Anything else that is raised, or more memory or processor time than a bad file is worth, is a
failure.
`make test` runs a few cases of each property, `make slow` many; both say how many there were.
"""

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from frism.errors import UserError

SECONDS = 20  # of the processor; a busy machine does not matter
MEMORY = 2 << 30  # bytes beside what the process has
LONGEST = 2000  # characters of a sentence


class Refusal(str):
    """The sentence that a reader refused its input with."""


@contextmanager
def bounds() -> Iterator[None]:
    """Let the block fail that takes more memory or processor time than reading a bad file may."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"a bad input took more than {SECONDS} s of the processor")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    former = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def attempt(read: Callable[[], Any], *subjects: object) -> Any:
    """Return what `read` returns, or the Refusal that names one of the subjects; anything else is raised."""
    with bounds():
        try:
            return read()
        except UserError as error:
            sentence = str(error)
    assert any(str(subject) in sentence for subject in subjects), f"names none of {subjects}: {sentence}"
    assert sentence.isprintable(), f"is more than a line of text: {sentence!r}"
    assert len(sentence) <= LONGEST, f"is no sentence: {sentence}"
    assert "Traceback" not in sentence
    return Refusal(sentence)


Try = Callable[[SearchStrategy[Any], Callable[[Any], None]], None]


@pytest.fixture(params=[1, pytest.param(12, marks=pytest.mark.slow)], ids=["few", "many"])
def try_cases(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Try:
    """A function that generates cases and hands each to a test; the same cases every time.

    There are 40, and twelve times as many where the test is slow. `few`: how many of the 40, for dear ones.
    """

    def run(strategy: SearchStrategy[Any], check: Callable[[Any], None], few: int = 40) -> None:
        number = 0

        def count(case: Any) -> None:
            nonlocal number
            number += 1
            check(case)

        count.__name__ = request.node.originalname
        limits = settings(
            max_examples=few * request.param,
            deadline=None,
            derandomize=True,
            database=None,
            print_blob=False,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        limits(given(strategy)(count))()
        record_property("bad inputs", number)

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many cases there were; with xdist, in all workers."""
    passed = terminalreporter.stats.get("passed", [])
    numbers = [value for report in passed for name, value in report.user_properties if name == "bad inputs"]
    if numbers:
        terminalreporter.write_line(
            f"bad input: {sum(numbers)} generated cases in {len(numbers)} properties, all refused in a"
            " sentence or read right"
        )


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a case leaves behind, caches too, lies in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def usual_recursion() -> None:
    """A library that raised the limit of recursion would let a deep nest crash the process."""
    assert sys.getrecursionlimit() <= 10_000
