"""Decide what becomes of questions that cannot be answered: the run ends, or they count as unanswered.

How many may fail is a share of each benchmark's questions, so that no benchmark is silently emptied. It is no
part of any key: an answer is the same under every policy.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.questions.item import Item
from frism.errors import UserError


class FailedLine(Protocol):
    """A stored prediction, as far as it says whether its question failed."""

    @property
    def benchmark(self) -> str: ...
    @property
    def failure(self) -> str: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True)
class Tolerance:
    """Holds up to which share of a benchmark's questions may fail (None: none), and how many each has."""

    share: float | None
    totals: Mapping[str, int]

    @classmethod
    def over(cls, share: float | None, items: Iterable[Item]) -> "Tolerance":
        """Count the questions that a share is of."""
        return cls(share, Counter(item.benchmark for item in items))

    def find_exceeded(self, lines: Iterable[FailedLine]) -> Collection[str]:
        """Find the benchmarks of which more questions failed than may."""
        failed = Counter(line.benchmark for line in lines if line.failure)
        return {name for name, n in failed.items() if n > (self.share or 0) * self.totals.get(name, 0)}

    def check(self, lines: Sequence[FailedLine]) -> None:
        """Raise UserError, one sentence, when more questions of a benchmark failed than may."""
        for name in sorted(self.find_exceeded(lines)):
            failed = [line for line in lines if line.failure and line.benchmark == name]
            last, allowed = failed[-1].reason.rstrip("."), f"{self.share or 0:.2%}"
            raise UserError(
                f"{len(failed)} of {self.totals.get(name, 0)} questions of {name} cannot be answered"
                f" ({describe_kinds(failed)}; the last: {last}), but engine.failures lets {allowed} of them"
                " count as unanswered: correct the cause or raise the share, and run again, which asks them"
                " again."
            )


def describe_kinds(failed: Iterable[FailedLine]) -> str:
    """Count failures by kind, in words: "picture 2, refused 1"."""
    kinds = Counter(line.failure for line in failed)
    return ", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in sorted(kinds.items()))
