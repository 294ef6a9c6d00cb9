"""Merge a variant's tensors, whole or in pieces, for the writer of files and for loaded models alike.

A method that is ELEMENTWISE gets pieces of fixed size, so that memory does not grow with the tensor and
threads share the work; a random method draws per piece, so its result depends on neither threads nor order.
Other methods get whole tensors, one at a time, with all of torch's own threads.
"""

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from frism.checkpoints.dtypes import check_dtype
from frism.checkpoints.reading import SourceFiles, byte_range
from frism.errors import UserError
from frism.merging.backends import Array, Backend, NumpyBackend, TorchBackend
from frism.method.fitted import Fitted
from frism.method.method import Method
from frism.method.parameters import Value
from frism.method.site import Site
from frism.seeds import make_generator
from frism.triples.triple import Triple

if TYPE_CHECKING:
    import torch

    from frism.spectra.spectra import Spectra, TaskVector
    from frism.spectra.spectrum import Spectrum

PIECE = 1 << 19  # entries that a random method draws at a time: part of what a seed means
RUN = 1 << 22  # entries of a task: enough to be worth one, few enough to share out


@dataclass(frozen=True)
class Piece:
    """Name the entries [first, last) of a flattened tensor; `index` counts the tensor's pieces."""

    name: str
    index: int
    first: int
    last: int


@dataclass(frozen=True)
class Result:
    """Hold one merged piece: its fp32 values, V's values, and the Frobenius norm of merged - V."""

    merged: Array
    original: Array
    injected: float


class ScratchBuffers:
    """Reuse one thread's scratch memory: one buffer of bytes per source model."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._buffers: dict[str, tuple[Any, Any]] = {}

    def reserve(self, role: str, size: int) -> tuple[Any, Any]:
        """Return `size` bytes of the role's buffer, grown if needed, and the backend's handle of it."""
        if role not in self._buffers or len(self._buffers[role][0]) < size:
            self._buffers.pop(role, None)  # before the larger one is made
            self._buffers[role] = self._backend.allocate(size)
        buffer, handle = self._buffers[role]
        return buffer[:size], handle


class Merger:
    """Merge the tensors of a scope, piece by piece, from files to fp32 arrays.

    Args:
        params: complete (`Method.validate`).
        fitted: what the method's `fit` returned; None for a method that fits nothing.
        spectra: where a method that works on singular directions gets them; None decomposes on the spot.
        device: a torch device; None chooses numpy where the method is plain arithmetic, else the CPU.
    """

    def __init__(
        self,
        triple: Triple,
        method: Method,
        params: Mapping[str, Value],
        *,
        scope: str,
        seed: int = 0,
        fitted: Fitted | None = None,
        spectra: "Spectra | None" = None,
        device: "str | torch.device | None" = None,
    ) -> None:
        self.triple, self.method, self.params, self.seed = triple, method, params, seed
        self.names = triple.names(scope)
        self.elementwise = method.is_elementwise(params)
        use_numpy = method.arithmetic and device is None
        self.backend: Backend = NumpyBackend() if use_numpy else TorchBackend(device or "cpu")
        self.files = SourceFiles()
        self._spectra = spectra
        if spectra is None and "spectrum" in method.needs:
            from frism.spectra.spectra import Spectra

            self._spectra = Spectra(triple)
        donors = ("base", *triple.donors) if triple.blended and "lrm" in method.reads else ()
        self._roles = tuple(dict.fromkeys((*method.reads, "vlm", *donors)))
        for name in self.names:
            for role in self._roles:
                header = triple.header(role, name)
                check_dtype(header.dtype, f"{header.file}: tensor {triple.stored(name, role)}")
        self._fitted = fitted or Fitted()
        self._coefficients: dict[str, Mapping[str, Array]] = {}  # as the backend's arrays, by tensor

    def __enter__(self) -> "Merger":
        return self

    def __exit__(self, *_: object) -> None:
        self.files.__exit__()

    def split(self, name: str, indices: range | None = None) -> Iterator[Piece]:
        """Split a tensor into pieces (`indices`: those of them); one piece if the method takes it whole."""
        size, step = self.triple.header("vlm", name).values, self._choose_piece_size(name)
        for index in indices if indices is not None else range(_count_pieces(size, step)):
            yield Piece(name, index, index * step, min((index + 1) * step, size))

    def _choose_piece_size(self, name: str) -> int:
        """Return how many entries a piece of the tensor has."""
        if not self.elementwise:
            return self.triple.header("vlm", name).values
        return PIECE if "seed" in self.method.needs else self.backend.piece

    def measure(self, name: str, buffers: ScratchBuffers) -> Any:
        """Measure what the method has to know of the whole tensor before its pieces are merged, or None."""
        return self.method.run_measure(
            lambda: (self._make_site(piece, buffers) for piece in self.split(name)), self.params
        )

    def _make_site(self, piece: Piece, buffers: ScratchBuffers, measured: Any = None) -> Site:
        name = piece.name
        return self.method.make_site(
            partial(self._read, piece=piece, buffers=buffers), name=name, layer=self.triple.layer(name),
            layers=self.triple.layers, fitted=self._load_coefficients(name), start=piece.first,
            measured=measured, spectrum=partial(self._load_spectrum, name),
            rng=partial(make_generator, self.seed, name if piece.first == 0 else f"{name}@{piece.first}"),
        )  # fmt: skip

    def merge(self, piece: Piece, buffers: ScratchBuffers, measured: Any = None) -> Result:
        """Merge one piece. Its arrays may share memory with `buffers`: use them before the next one.

        Raises UserError when a file or the method's result is bad.
        """
        site = self._make_site(piece, buffers, measured)
        merged, original = self.method.run_merge(site, self.params, finite=False), site.vlm
        # Also for V itself: the norm of its zeros is NaN where V is not finite.
        injected = self.backend.norm(merged - original)
        if not math.isfinite(injected):
            self._raise_not_finite(piece, site.arrays)
        return Result(merged, original, injected)

    def _load_coefficients(self, name: str) -> Mapping[str, Array]:
        """Convert what was fitted for one tensor to the backend's arrays, once."""
        if name not in self._coefficients:
            self._coefficients[name] = {
                key: self.backend.to_array(value) for key, value in self._fitted.select(name).items()
            }
        return self._coefficients[name]

    def make_tasks(self, name: str, use: Callable[[Piece, Result], None]) -> Iterator["Task"]:
        """Make tasks that merge one tensor and hand every piece to `use` (in any order, from any thread).

        One task where something has to be measured first, else one for every run of pieces.
        """
        # Tasks hold indices, not pieces: a large model has tens of thousands of them.
        step = self._choose_piece_size(name)
        count = _count_pieces(self.triple.header("vlm", name).values, step)
        pieces_per_task = count if self.method.measure else max(1, RUN // max(step, 1))
        for start in range(0, count, pieces_per_task):
            yield partial(self._merge_pieces, name, range(start, min(start + pieces_per_task, count)), use)

    def _merge_pieces(
        self, name: str, indices: range, use: Callable[[Piece, Result], None], buffers: ScratchBuffers
    ) -> None:
        measured = self.measure(name, buffers)
        for piece in self.split(name, indices):
            use(piece, self.merge(piece, buffers, measured))

    def _load_spectrum(self, name: str, of: "TaskVector") -> "Spectrum | None":
        """Load the singular directions of one matrix; None for biases and norms, which have none."""
        if len(self.triple.header("vlm", name).shape) != 2:
            return None
        assert self._spectra is not None
        assert isinstance(self.backend, TorchBackend)
        return self._spectra.of(of).load(name, self.backend.device)

    def _read(self, role: str, piece: Piece, buffers: ScratchBuffers) -> Array:
        """Read one piece in fp32; R of several donors is B + sum of weight * (donor - B)."""
        if role != "lrm" or not self.triple.blended:
            return self._read_stored(role, role, piece, buffers)
        base = self._read_stored("base", "base of donors", piece, buffers)
        total = base
        for donor, weight in self.triple.donors.items():
            total = total + weight * (self._read_stored(donor, donor, piece, buffers) - base)
        return total

    def _read_stored(self, role: str, buffer_of: str, piece: Piece, buffers: ScratchBuffers) -> Array:
        header = self.triple.header(role, piece.name)
        start, size = byte_range(header, piece.first, piece.last)
        buffer, handle = buffers.reserve(buffer_of, size)
        self.files.read(header.file, start, buffer)
        shape = (piece.last - piece.first,) if self.elementwise else header.shape
        return self.backend.widen(handle, header.dtype, shape)

    def _raise_not_finite(self, piece: Piece, tensors: Mapping[str, Array]) -> None:
        """Raise UserError for the source that is not finite, or else for the method."""
        for role, values in tensors.items():
            if count := self.backend.count_not_finite(values):
                header = self.triple.header(role, piece.name)
                raise UserError(
                    f"{header.file}: tensor {self.triple.stored(piece.name, role)} has {count} NaN or "
                    f"infinite values of {piece.last - piece.first}: download the checkpoint again or export "
                    "it again from training."
                )
        raise self.method.explain_not_finite(piece.name)


def _count_pieces(size: int, step: int) -> int:
    """Count the pieces of `step` entries in a tensor of `size`; one if it is empty."""
    return max(1, -(-size // max(step, 1)))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


Task = Callable[[ScratchBuffers], None]


def run_tasks(tasks: Iterable[Task], merger: Merger, threads: int | None = None) -> None:
    """Run tasks in threads, each thread with its scratch buffers, in order; stop at the first error.

    `threads` (default: all cores) share the work of a method that is ELEMENTWISE, each with one of torch's;
    others run one task at a time, with all of torch's threads.
    """
    threads = (threads or count_cores()) if merger.elementwise else 1
    with _limit_torch_threads(merger):
        if threads == 1:
            buffers = ScratchBuffers(merger.backend)
            for task in tasks:
                task(buffers)
            return
        queue, lock, failed = iter(tasks), threading.Lock(), threading.Event()

        def run_until_empty() -> None:
            buffers = ScratchBuffers(merger.backend)
            try:
                while not failed.is_set():
                    with lock:
                        task = next(queue, None)
                    if task is None:
                        return
                    task(buffers)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(max_workers=threads) as pool:
            futures = [pool.submit(run_until_empty) for _ in range(threads)]
            try:
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
            finally:
                failed.set()


@contextmanager
def _limit_torch_threads(merger: Merger) -> Iterator[None]:
    """Let torch compute with one thread per operation where our own threads share the pieces."""
    if not isinstance(merger.backend, TorchBackend) or not merger.elementwise:
        yield
        return
    import torch

    thread_count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(thread_count)


def combine_norms(parts: Sequence[float]) -> float:
    """Combine the norms of a tensor's pieces, in their order, into the norm of the whole."""
    return math.hypot(*parts)
