"""Estimate what merging costs: seconds and memory per method, from bytes, rates and a small trial merge.

Estimates: files are read as fast as a sample of them is now (perhaps from memory), written as fast as read,
and arithmetic scales with the number of values from one matrix of 512 x 512 on one core.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch

from frism.errors import UserError
from frism.merging.backends import NumpyBackend, TorchBackend
from frism.merging.pieces import PIECE, count_cores
from frism.method import discovery
from frism.method.method import Method
from frism.method.site import Site
from frism.spectra.costs import choose_solver, estimate_seconds
from frism.spectra.spectrum import decompose
from frism.triples.triple import Triple

_SIDE, _SAMPLE = 512, 64 << 20
LONG = 0.1  # seconds after which a trial is not repeated
_PROCESS, _PLAIN_PROCESS = 650 << 20, 60 << 20  # an interpreter with torch, or with numpy alone: measured


@dataclass(frozen=True)
class Estimate:
    """Estimate one method at its defaults; None where it is fitted first, which is not estimated."""

    method: str
    seconds: float | None
    bytes: int | None
    note: str


@dataclass(frozen=True)
class Costs:
    """Hold estimates for writing one merged checkpoint, and what they rest on."""

    read_bytes_per_second: float
    svd_seconds: float  # of one singular value decomposition of every matrix of tau_R
    methods: list[Estimate]


def estimate(triple: Triple, scope: str | None = None) -> Costs:
    """Return estimates for every method on this triple and machine; takes a few seconds."""
    rate = _read_rate(triple)
    names = triple.names(scope)
    shapes = [triple.header("vlm", name).shape for name in names]
    values = sum(triple.header("vlm", name).values for name in names)
    largest = max(triple.header("vlm", name).values for name in names)
    whole = sum(header.bytes for header in triple.checkpoints["vlm"].tensors.values())
    rows = []
    for name in discovery.list_names():
        method = discovery.find(name)
        # V is read once for the copy, B and R where the method asks for them; V's size is written.
        read = whole + sum(
            triple.header(role, tensor).bytes
            for role in set(method.reads) - {"vlm"}
            for tensor in names
        )  # fmt: skip
        rows.append(_row(method, (read + whole) / rate, values, largest))
    return Costs(rate, _svd_seconds(shapes), rows)


def _row(method: Method, io: float, values: int, largest: int) -> Estimate:
    if method.mix is not None:
        return Estimate(method.name, None, None, "merges nothing: R answers together with V, in a study")
    if method.fit is not None:
        needs = " and ".join(method.missing_needs)
        how = f"fitted with {needs} first" if needs else "computes its numbers from the weights first"
        return Estimate(method.name, None, None, how)
    if method.gradients:
        note = "descends on the weights, hundreds of products of every matrix: for a GPU"
        return Estimate(method.name, None, None, note)
    try:
        seconds = _trial(method.name)
    except UserError as error:
        return Estimate(method.name, None, None, str(error))
    pieces = method.is_elementwise(method.validate({}))
    arrays = (len({*method.reads, "vlm"}) + 2) * (count_cores() if pieces else 1)
    process, backend = (_PLAIN_PROCESS, NumpyBackend) if method.arithmetic else (_PROCESS, TorchBackend)
    piece = PIECE if "seed" in method.needs else backend.piece
    held = arrays * 4 * (min(piece, largest) if pieces else largest)
    return Estimate(
        method.name, io + seconds * values, process + held, "in pieces" if pieces else "whole tensors"
    )


@lru_cache
def _trial(name: str) -> float:
    """Measure seconds per value of one method at its defaults, on random matrices, once per process."""
    method = discovery.find(name)
    params = method.validate({})
    tensors = {
        role: torch.randn(_SIDE, _SIDE, generator=torch.Generator().manual_seed(seed))
        for seed, role in enumerate(("base", "vlm", "lrm"))
    }

    def trial() -> None:
        # A spectrum is decomposed on the spot where none is kept.
        spectrum = decompose(tensors["lrm"] - tensors["base"]) if "spectrum" in method.needs else None
        method.run_merge(Site.of(*tensors.values(), spectrum=spectrum), params)

    return _time_best(trial) / _SIDE**2


def _time_best(run: Callable[[], object], times: int = 3) -> float:
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
        if sum(durations) > LONG:
            break
    return min(durations)


def _read_rate(triple: Triple) -> float:
    """Measure bytes a second over at most 64 MiB from the start of the three checkpoints' files."""
    total, start = 0, time.perf_counter()
    for checkpoint in triple.checkpoints.values():
        with checkpoint.shards()[0].open("rb", buffering=0) as stream:
            block = bytearray(1 << 20)
            left = _SAMPLE // 3
            while left > 0 and (count := stream.readinto(block)):
                total, left = total + count, left - count
    return total / max(time.perf_counter() - start, 1e-9)


def _svd_seconds(shapes: Iterable[tuple[int, ...]]) -> float:
    """Estimate seconds for all matrices with the solvers of `frism spectrum`, scaled from one trial here."""
    matrices = [shape for shape in shapes if len(shape) == 2]
    return _slowdown() * sum(
        estimate_seconds(choose_solver("auto", shape, None, "cpu"), shape) for shape in matrices
    )


@lru_cache
def _slowdown() -> float:
    """Measure how much longer a decomposition takes here than where the solvers' rates were measured."""
    sample = torch.randn(_SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    return _time_best(lambda: decompose(sample)) / estimate_seconds(
        choose_solver("auto", (_SIDE, _SIDE), None, "cpu"), (_SIDE, _SIDE)
    )
