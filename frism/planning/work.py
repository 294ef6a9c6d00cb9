"""What is to be done and what one stage of it costs, in plain values. Sizes are in bytes."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """One stage, once.

    Attributes:
        seconds: wall time, the sum of `parts`.
        memory: largest main memory of its process. device_memory: of the GPU; 0 where it runs on the CPU.
        disk: what it leaves behind.
        parts: seconds by part.
    """

    name: str
    parts: dict[str, float]
    memory: float
    device_memory: float = 0.0
    disk: float = 0.0
    note: str = ""

    @property
    def seconds(self) -> float:
        """Wall time."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Precision:
    """Where and how a model runs: its weights' dtype, and where the factors of gates lie."""

    dtype: str = "float32"
    factors: Literal["auto", "resident", "streamed"] = "auto"


PLAIN = Precision()


@dataclass(frozen=True)
class SpectrumWork:
    """How spectra are computed and kept, as in the config's `spectrum`."""

    rank: int | None = None
    solver: str = "auto"
    dtype: str = "float32"


@dataclass(frozen=True)
class FitWork:
    """One fit of gates. `text_tokens`: of a prompt beside the picture's; answers run to `answer_tokens`."""

    questions: int
    steps: int
    batch: int
    patches: int
    text_tokens: int
    answer_tokens: int
    tail_every: int = 8
    spectrum: SpectrumWork = field(default_factory=SpectrumWork)


@dataclass(frozen=True)
class AnswerWork:
    """Questions with a picture each (`patches` 0: none), answered in batches, greedily.

    `answer_tokens` of a mean answer, `longest` of the longest in a batch, which the others leave as they end.
    """

    questions: int
    batch: int
    patches: int
    text_tokens: int
    answer_tokens: int
    longest: int
