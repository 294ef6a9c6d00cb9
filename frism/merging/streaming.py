"""Stream three checkpoints into merged weight files, in bounded memory; resume what was interrupted.

Tensors that a method does not touch are copied as byte ranges, so they cannot change. The files grow in a
scratch folder under temporary names; a complete one gets its name and a receipt, and a run that finds both
(with the file untouched since) does not write it again.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from frism.checkpoints.dtypes import BITS
from frism.checkpoints.reading import Buffer
from frism.errors import UserError
from frism.files import read_json
from frism.merging.pieces import Merger, Piece, Result, ScratchBuffers, Task, combine_norms, run_tasks
from frism.merging.sharding import Plan, Shard, find_source
from frism.merging.tensor_files import COPY, OutputFile, Slot

RECEIPTS = "receipts"
Progress = Callable[[int], None]  # called with how many more bytes are written


@dataclass(frozen=True)
class Change:
    """Record what merging did to one tensor: the norm of merged - V, and the error of the cast."""

    injected: float
    cast: float  # Frobenius norm of (stored - merged)
    largest: float  # largest |stored - merged|


@dataclass
class _ShardInProgress:
    """Track one weight file while it is written: tasks left, open file, changes by tensor and piece."""

    shard: Shard
    pending: int
    output: OutputFile | None = None
    changes: dict[str, dict[int, Change]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ensure_output(self, part: Path) -> OutputFile:
        """Return the open file; create it at the first call."""
        with self.lock:
            if self.output is None:
                self.output = OutputFile(part, self.shard.layout.size)
            return self.output


class ShardWriter:
    """Write the weight files of a plan into a folder.

    Args:
        folder: the scratch folder; exists.
        threads: None for all cores.
        sync: have a file on the disk before it counts as complete.
        progress: called from any thread.
    """

    def __init__(
        self,
        plan: Plan,
        merger: Merger,
        folder: Path,
        *,
        threads: int | None = None,
        sync: bool = True,
        progress: Progress = lambda size: None,
    ) -> None:
        self._plan, self._merger, self._folder = plan, merger, folder
        self._threads, self._sync, self._progress = threads, sync, progress
        self._merged = dict.fromkeys(entry.stored for entry in plan.entries if entry.fate == "merged")

    def count_remaining(self) -> int:
        """Count the bytes of the files that are not yet complete."""
        return sum(s.layout.size for s in self._plan.shards if self._read_receipt(s) is None)

    def run(self) -> dict[str, Change]:
        """Write what is missing; return the change of every merged tensor, by its stored name.

        Raises UserError when a source is bad or the disk full; complete files stay for the next run.
        """
        changes: dict[str, Change] = {}
        missing: list[_ShardInProgress] = []
        for shard in self._plan.shards:
            receipt = self._read_receipt(shard)
            if receipt is None:
                missing.append(_ShardInProgress(shard, 0))
            else:
                changes |= receipt
                self._progress(shard.layout.size)
        tasks = []
        for shard_file in missing:
            shard_tasks = list(self._make_tasks(shard_file))
            shard_file.pending = len(shard_tasks)
            tasks += [partial(self._run_task, shard_file, task) for task in shard_tasks]
        try:
            run_tasks(tasks, self._merger, self._threads)
        finally:
            for shard_file in missing:
                self._abandon(shard_file)
        for shard_file in missing:
            changes |= self._read_receipt(shard_file.shard) or {}
        return {name: changes[name] for name in self._merged}

    def _run_task(self, shard_file: _ShardInProgress, task: Task, buffers: ScratchBuffers) -> None:
        task(buffers)
        with shard_file.lock:
            shard_file.pending -= 1
            if shard_file.pending:
                return
        self._finish(shard_file)

    def _make_tasks(self, shard_file: _ShardInProgress) -> Iterator[Task]:
        """Make the tasks of one file: write its head, copy runs of bytes, merge pieces."""
        yield lambda buffers: self._write_head(shard_file)
        run: list[Slot] = []
        for slot in shard_file.shard.layout.slots:
            if slot.name in self._merged:
                yield from self._make_copies(shard_file, run)
                run = []
                yield from self._make_merges(shard_file, slot)
            else:
                if run and not self._are_adjacent(run[-1], slot):
                    yield from self._make_copies(shard_file, run)
                    run = []
                run.append(slot)
        yield from self._make_copies(shard_file, run)

    def _write_head(self, shard_file: _ShardInProgress) -> None:
        head = memoryview(shard_file.shard.layout.head)
        shard_file.ensure_output(self._get_part_path(shard_file.shard)).write(head, 0)
        self._progress(len(head))

    def _are_adjacent(self, one: Slot, other: Slot) -> bool:
        before, after = find_source(self._merger.triple, one), find_source(self._merger.triple, other)
        return before.file == after.file and before.end == after.start and one.end == other.start

    def _make_copies(self, shard_file: _ShardInProgress, run: list[Slot]) -> Iterator[Task]:
        if not run:
            return
        origin, size = find_source(self._merger.triple, run[0]), run[-1].end - run[0].start

        def copy(offset: int, buffers: ScratchBuffers) -> None:
            part = min(COPY, size - offset)
            output = shard_file.ensure_output(self._get_part_path(shard_file.shard))
            output.copy(self._merger.files, origin.file, origin.start + offset, part, run[0].start + offset)
            self._progress(part)

        yield from (partial(copy, offset) for offset in range(0, size, COPY))

    def _make_merges(self, shard_file: _ShardInProgress, slot: Slot) -> Iterator[Task]:
        changes = shard_file.changes.setdefault(slot.name, {})
        first = pieces = 0
        for name in self._merger.triple.parts(slot.name):

            def write_piece(piece: Piece, result: Result, first: int = first, pieces: int = pieces) -> None:
                encoded, changes[pieces + piece.index] = self._cast(slot, result)
                shard_file.ensure_output(self._get_part_path(shard_file.shard)).write(
                    encoded, slot.start + (first + piece.first) * _count_value_bytes(slot)
                )
                self._progress(len(encoded))

            yield from self._merger.make_tasks(name, write_piece)
            first += self._merger.triple.header("vlm", name).values
            pieces += 1 << 32  # more than a tensor has: keys ascend from part to part

    def _cast(self, slot: Slot, result: Result) -> tuple[Buffer, Change]:
        """Cast a merged piece to the stored dtype; return its bytes and what the cast changed."""
        backend = self._merger.backend
        encoded, stored = backend.narrow(result.merged, slot.dtype)
        error = stored - result.merged
        cast = backend.norm(error)
        if not cast < float("inf"):
            raise UserError(
                f"tensor {slot.name} has merged values outside the range of {slot.dtype}: "
                "choose another --dtype."
            )
        return encoded, Change(result.injected, cast, backend.largest(error))

    def _get_part_path(self, shard: Shard) -> Path:
        return self._folder / f"{shard.file}.part"

    def _get_receipt_path(self, shard: Shard) -> Path:
        return self._folder / RECEIPTS / f"{shard.file}.json"

    def _finish(self, shard_file: _ShardInProgress) -> None:
        assert shard_file.output is not None
        if self._sync:
            shard_file.output.sync()
        shard_file.output.close()
        shard_file.output = None
        path = self._folder / shard_file.shard.file
        self._get_part_path(shard_file.shard).replace(path)
        totals = {}
        for name, parts in shard_file.changes.items():
            ordered = [parts[index] for index in sorted(parts)]
            totals[name] = [
                combine_norms([part.injected for part in ordered]),
                combine_norms([part.cast for part in ordered]),
                max(part.largest for part in ordered),
            ]
        shard_file.changes.clear()  # the receipt has the totals: records of pieces are not needed any more
        receipt = {
            "state": _read_file_state(path),
            "head": shard_file.shard.layout.head[8:].decode(),
            "changes": totals,
        }
        # Whole or not at all, as the shard itself: where there is no receipt, the shard is written again.
        final = self._get_receipt_path(shard_file.shard)
        part = final.with_suffix(".part")
        part.write_text(json.dumps(receipt), encoding="utf-8")
        part.replace(final)

    def _read_receipt(self, shard: Shard) -> dict[str, Change] | None:
        """Return the changes in a complete file; None if there is none, or it was modified since."""
        path, receipt = self._folder / shard.file, self._get_receipt_path(shard)
        if not (path.is_file() and receipt.is_file()):
            return None
        try:
            record = read_json(receipt)
            if record["state"] != _read_file_state(path) or record["head"] != shard.layout.head[8:].decode():
                return None
            return {name: Change(*values) for name, values in record["changes"].items()}
        except (UserError, KeyError, TypeError):  # of another version: write the file again
            return None

    def _abandon(self, shard_file: _ShardInProgress) -> None:
        """Delete a file that an error left incomplete: it only takes space."""
        if shard_file.output is not None:
            shard_file.output.close()
            shard_file.output = None
            self._get_part_path(shard_file.shard).unlink(missing_ok=True)


def _read_file_state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _count_value_bytes(slot: Slot) -> int:
    """Count the bytes of one value."""
    return BITS[slot.dtype] // 8
