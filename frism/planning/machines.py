"""Machines as a plan knows them: the rates of a few operations, measured or derived from published peaks.

Profiles lie in machines.yaml; those measured here in the cache folder (FRISM_CACHE), `this` among them.
"""

import bisect
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frism.errors import UserError, suggest
from frism.files import atomic_write, read_json

FILE = Path(__file__).with_name("machines.yaml")
THIS = "this"
Algebra = Literal["product", "gesdd", "eigh", "qr"]


class Machine(BaseModel):
    """One kind of machine. Rates are per second, sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = Field(description="processor or GPU, in words")
    provenance: Literal["measured", "derived"] = Field(
        description="measured: by the trials of frism.planning.trials; derived: from published peaks"
    )
    source: str = Field(description="when and with what it was measured, or what it was derived from")
    device: Literal["cpu", "cuda"]
    cores: int = Field(ge=1, description="of the processor, as far as they may be used")
    memory: float = Field(gt=0, description="main memory")
    device_memory: float | None = Field(None, gt=0, description="the GPU's memory")
    matmul: dict[str, dict[int, float]] = Field(
        description="per precision: floating point operations a second of a linear layer, by tokens at a time"
    )
    algebra: dict[Algebra, dict[int, float]] = Field(
        description="matrix products, gesdd and qr in fp32, eigh in fp64: operations a second, as"
        " frism.planning.operations counts them, by columns"
    )
    elementwise: float = Field(gt=0, description="bytes read and written a second by element-wise arithmetic")
    host_elementwise: float = Field(gt=0, description="the same in main memory, where models run on a GPU")
    hash: float = Field(gt=0, description="bytes a second through sha256 on one core")
    read: float = Field(gt=0, description="bytes a second from the disk")
    read_cached: float = Field(gt=0, description="bytes a second from files that are still in memory")
    write: float = Field(gt=0, description="bytes a second to the disk, waiting until they are there")
    load: float = Field(gt=0, description="stored bytes a second that become a model's parameters")
    overhead: float = Field(ge=0, description="seconds of one decoder layer's pass that no arithmetic takes")
    start_plain: float = Field(ge=0, description="seconds until a command without torch begins to work")
    start: float = Field(ge=0, description="seconds until torch is imported")
    start_model: float = Field(ge=0, description="further seconds until a model's classes and processor are")
    process_plain: float = Field(gt=0, description="memory of a process without torch")
    process: float = Field(gt=0, description="memory of a process that has imported torch")
    process_model: float = Field(gt=0, description="memory of a process with a model's classes too")

    def matmul_rate(self, dtype: str, tokens: float) -> float:
        """Operations a second of a linear layer, interpolated between what was measured.

        Raises UserError for a precision that the profile does not know.
        """
        if dtype not in self.matmul:
            known = ", ".join(self.matmul)
            raise UserError(f"the profile of {self.title} has no rate for {dtype} (it has {known}).")
        return interpolated(self.matmul[dtype], tokens)

    def algebra_rate(self, kind: Algebra, columns: float) -> float:
        """Operations a second of a routine; beyond what was measured the trend goes on, by a fifth at
        most."""
        return interpolated(self.algebra[kind], columns, beyond=1.2)


def interpolated(points: Mapping[int, float], at: float, beyond: float = 1.0) -> float:
    """A value between measured points, on straight lines through their logarithms.

    Outside them the nearest line goes on, by no more than a factor of `beyond` from the nearest point.
    """
    places = sorted(points)
    if len(places) == 1:
        return points[places[0]]
    right = min(max(bisect.bisect_left(places, at), 1), len(places) - 1)
    low, high = places[right - 1], places[right]
    slope = math.log(points[high] / points[low]) / math.log(high / low)
    found = math.log(points[low]) + slope * math.log(max(at, 1e-9) / low)
    if at > high or at < low:
        edge, room = math.log(points[high if at > high else low]), math.log(beyond)
        found = min(max(found, edge - room), edge + room)
    return math.exp(found)


@cache
def profiles() -> dict[str, Machine]:
    """The machines of machines.yaml, by name: rates that were measured, or those that peaks let expect."""
    from frism.planning.peaks import Peaks

    table = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    measured = {name: Machine(**content) for name, content in table["measured"].items()}
    return measured | {name: Peaks(**content).machine() for name, content in table["peaks"].items()}


def machine(name: str, measure: Callable[[], Machine]) -> Machine:
    """A profile by its name: one measured here before, one of machines.yaml, or `this`.

    `measure` is called for `this` when it was not measured before; it takes two or three minutes.
    Raises UserError for an unknown name.
    """
    if (found := kept(name)) is not None:
        return found
    if name in profiles():
        return profiles()[name]
    if name == THIS:
        return keep(THIS, measure())
    known = [THIS, *profiles(), *sorted(path.stem for path in folder().glob("*.json") if path.stem != THIS)]
    raise UserError(
        f"unknown machine '{name}' (known: {', '.join(known)}): measure it there with --measure {name}."
        f"{suggest(name, known)}"
    )


def folder() -> Path:
    """Where profiles that were measured here are kept."""
    given, user = os.environ.get("FRISM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path(user or Path.home() / ".cache") / "frism") / "machines"


def kept(name: str) -> Machine | None:
    """A profile measured here before; None where there is none, or one of another version."""
    path = folder() / f"{name}.json"
    try:
        return Machine(**read_json(path)) if path.is_file() else None
    except (UserError, ValidationError):
        return None


def keep(name: str, found: Machine) -> Machine:
    """Remember a profile and return it; a cache that cannot be written is no error."""
    with suppress(UserError), atomic_write(folder() / f"{name}.json") as temporary:
        temporary.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return found
