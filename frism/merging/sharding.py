"""Plan what a merge writes: which tensor goes where in which file, and what happens to it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frism.checkpoints.dtypes import NAMES
from frism.checkpoints.headers import Header
from frism.checkpoints.index import INDEX, WEIGHTS
from frism.errors import UserError
from frism.files import read_json
from frism.merging.tensor_files import FileLayout, Slot, count_bytes
from frism.triples.accounting import Entry
from frism.triples.triple import Triple

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
Tensor = tuple[str, str, tuple[int, ...]]  # name, dtype, shape


@dataclass(frozen=True)
class Shard:
    """Name one weight file that is to be written, with its layout."""

    file: str
    layout: FileLayout


@dataclass(frozen=True)
class Plan:
    """List the weight files of a merged checkpoint, and the fate of every tensor of V."""

    entries: tuple[Entry, ...]
    shards: tuple[Shard, ...]
    index: dict[str, object] | None  # None: a single file without an index

    @property
    def size(self) -> int:
        """The bytes of all weight files."""
        return sum(shard.layout.size for shard in self.shards)

    def count_fates(self) -> dict[str, int]:
        """Count the tensors of V that are merged, copied and skipped."""
        by_fate = Counter(entry.fate for entry in self.entries)
        return {fate: by_fate[fate] for fate in ("merged", "copied", "skipped")}


def make_plan(
    triple: Triple, entries: Sequence[Entry], *, dtype: str | None = None, shard_size: int | None = None
) -> Plan:
    """Lay out V's tensors in files.

    Args:
        dtype: safetensors' name of what merged tensors are stored as; None keeps each as V has it. Copied
            tensors always stay as they are.
        shard_size: largest number of bytes of tensors in a file (a larger tensor gets a file of its own);
            None keeps V's own files.
    """
    vlm = triple.checkpoints["vlm"]
    fates = {entry.stored: entry.fate for entry in entries}

    def describe(name: str) -> Tensor:
        header = vlm.header(name)
        return name, dtype if dtype and fates[name] == "merged" else header.dtype, header.shape

    groups: list[list[Tensor]]
    if shard_size is None:
        files = [path.name for path in vlm.shards()]
        by_file: dict[str, list[Tensor]] = {file: [] for file in files}
        for name, header in vlm.tensors.items():
            by_file[header.file.name].append(describe(name))
        groups = list(by_file.values())
    else:
        groups = _group_by_size([describe(name) for name in vlm.tensors], shard_size)
        count = len(groups)
        files = [
            WEIGHTS if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
            for number in range(1, count + 1)
        ]
    shards = tuple(
        Shard(file, FileLayout.arrange(group, _read_metadata(vlm.shards()[0])))
        for file, group in zip(files, groups, strict=True)
    )
    entries = tuple(entries)
    return Plan(entries, shards, None if files == [WEIGHTS] else _make_index(shards, vlm.folder))


def parse_size(text: str) -> int:
    """Read "5GB" or "500MiB" as a number of bytes. Raises UserError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in _UNITS or not float(match[1]):
        raise UserError(
            f"--shard-size {text} is not a size: write a number and a unit, such as 5GB or 500MiB."
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


def parse_dtype(text: str) -> str:
    """Return safetensors' name of "bfloat16" or "BF16". Raises UserError for anything else."""
    name = NAMES.get(text.lower(), text.upper())
    if name not in NAMES.values():
        raise UserError(f"--dtype {text} is unknown: choose one of {', '.join(NAMES)}.")
    return name


def find_source(triple: Triple, slot: Slot) -> Header:
    """Find V's header of the tensor that a slot is for."""
    return triple.checkpoints["vlm"].header(slot.name)


def _group_by_size(tensors: Iterable[Tensor], limit: int) -> list[list[Tensor]]:
    """Group tensors, in order, into files of at most `limit` bytes; a larger tensor is alone in its file."""
    groups: list[list[Tensor]] = [[]]
    filled = 0
    for name, dtype, shape in tensors:
        size = count_bytes(dtype, shape)
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append((name, dtype, shape))
        filled += size
    return groups


def _make_index(shards: Iterable[Shard], folder: Path) -> dict[str, object]:
    """Make the index of the files; what V's index says beside sizes and places stays."""
    vlm_index = read_json(folder / INDEX) if (folder / INDEX).is_file() else {}
    weight_map = {slot.name: shard.file for shard in shards for slot in shard.layout.slots}
    total = sum(slot.end - slot.start for shard in shards for slot in shard.layout.slots)
    metadata = vlm_index.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return {"metadata": {**metadata, "total_size": total}, "weight_map": dict(sorted(weight_map.items()))}


def _read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of V's file; transformers wants to know the framework."""
    with path.open("rb") as stream:
        table = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return {"format": "pt", **table.get("__metadata__", {})}
