"""Open a checkpoint folder: read its config, its headers and one tensor at a time; digest its content."""

import functools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from frism.cache import FileState, read_file_state
from frism.checkpoints.digests import recall_sha256
from frism.checkpoints.dtypes import TORCH_NAMES
from frism.checkpoints.headers import Header as Header
from frism.checkpoints.headers import read_headers
from frism.checkpoints.hub import locate
from frism.checkpoints.index import INDEX, WEIGHTS, read_weight_map
from frism.checkpoints.reading import SourceFiles
from frism.checkpoints.sources import note_source
from frism.errors import UserError, suggest
from frism.files import read_json

if TYPE_CHECKING:  # headers are JSON: a plan needs no torch, which takes seconds to import
    from torch import Tensor

HashedFile = tuple[Path, FileState]
ADAPTER = "adapter_config.json"
# What from_pretrained reads beside the weights: configs, tokenizer, chat template, remote code; no prose.
COMPANIONS = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"}
_PICKLES = ("*.bin", "*.pt", "*.pth")


class Checkpoint:
    """A `from_pretrained` folder with safetensors weights, single or sharded; no tensor is kept in memory.

    `tensors` is in stored order: shard by shard, byte by byte. Raises UserError when the folder, its config
    or a shard is missing, a file is truncated, index and shards disagree, or the weights are quantised, only
    an adapter, or pickled.
    """

    notes: tuple[str, ...] = ()  # what a reader should know of how it came about

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{folder} is not a folder: give a local checkpoint (download it first).")
        _refuse_adapter(self.folder)
        if not (self.folder / "config.json").is_file():
            raise UserError(
                f"{folder} has no config.json: point at the folder that from_pretrained would load."
            )
        self.config: dict[str, Any] = read_json(self.folder / "config.json")
        for config in (self.config, self.text_config):
            if method := config.get("quantization_config"):
                kind = method.get("quant_method", "quantization_config") if isinstance(method, dict) else ""
                raise UserError(
                    f"{folder} is quantised ({kind}): use the checkpoint that it was quantised from."
                )
        note_source(path for path in self.folder.iterdir() if path.suffix in COMPANIONS and path.is_file())
        self.tensors: dict[str, Header] = _headers(self.folder)
        note_source(self.shards())

    @classmethod
    def open(cls, source: str | Path, revision: str | None = None, allow_pickle: bool = False) -> Self:
        """Open a local folder or a hub id ("owner/name", "owner/name@revision").

        `allow_pickle`: pickled weights are read by torch's weights-only unpickler and converted once, into a
        cache folder that the result points to.
        """
        folder = locate(source, revision, allow_pickle=allow_pickle)
        if allow_pickle and not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
            from frism.checkpoints.pickles import convert_pickles

            folder = convert_pickles(folder)
        return cls(folder)

    @property
    def model_type(self) -> str:
        """The architecture's name in config.json, such as "qwen2_5_vl"."""
        return str(self.config.get("model_type", ""))

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the config (older configs hold it flat)."""
        nested = self.config.get("text_config")
        return nested if isinstance(nested, dict) else self.config

    def shards(self) -> list[Path]:
        """The weight files, in the order of their names (which number them)."""
        return list(dict.fromkeys(header.file for header in self.tensors.values()))

    def header(self, name: str) -> Header:
        """Return a stored tensor's header. Raises UserError when there is none of that name."""
        if name not in self.tensors:
            raise UserError(f"{self.folder} has no tensor {name}.{suggest(name, self.tensors)}")
        return self.tensors[name]

    def read(self, name: str, rows: slice = slice(None)) -> "Tensor":
        """Return one tensor as stored (CPU), or some of its rows.

        Raises UserError when it is absent or unreadable or, read whole, not finite.
        """
        import torch

        header = self.header(name)
        if header.dtype not in TORCH_NAMES:
            raise UserError(
                f"{header.file}: tensor {name} is stored as {header.dtype}, which torch cannot read: use a "
                "checkpoint in another dtype."
            )
        shape, start, size = header.shape, header.start, header.bytes
        whole = rows == slice(None)
        if not whole:
            first, last, _ = rows.indices(shape[0])
            width = header.bytes // shape[0]
            shape, start, size = (last - first, *shape[1:]), start + first * width, (last - first) * width
        # In torch's own memory, which begins at a cache line: products of what does not may round otherwise.
        values = torch.empty(size, dtype=torch.uint8)
        # Read, not mapped: resident memory stays at the tensors in hand.
        with SourceFiles() as files:
            files.read(header.file, start, values.numpy().data)
        dtype: torch.dtype = getattr(torch, TORCH_NAMES[header.dtype])
        tensor = values.view(dtype).reshape(shape)
        if whole and tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise UserError(
                f"{header.file}: tensor {name} has {bad} NaN or infinite values of {tensor.numel()}: "
                "download the checkpoint again or export it again from training."
            )
        return tensor

    @property
    def digest(self) -> str:
        """sha256 over weights, configs and tokenizer files; computed once per process and file state."""
        return digest_folders([self])[0]


def _refuse_adapter(folder: Path) -> None:
    if (folder / ADAPTER).is_file():
        base = read_json(folder / ADAPTER).get("base_model_name_or_path") or "its base model"
        raise UserError(
            f"{folder} holds a LoRA adapter ({ADAPTER}), not a whole model: merge it into {base} first "
            "(merge_and_unload of peft) and give that folder, or give R as BASE+ADAPTER."
        )


def _headers(folder: Path) -> dict[str, Header]:
    if (folder / WEIGHTS).is_file():
        if (folder / INDEX).is_file() and set(read_weight_map(folder / INDEX).values()) != {WEIGHTS}:
            raise UserError(
                f"{folder} holds {WEIGHTS} beside an index of other files, and either may be meant: move "
                "one of the two out of the folder."
            )
        return read_headers(folder / WEIGHTS)
    if not (folder / INDEX).is_file():
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"{folder} has pickled weights only ({pickles[0]}): convert them to safetensors first, "
                "or pass --allow-pickle to have them converted."
            )
        raise UserError(
            f"{folder} has no weights ({WEIGHTS} or {INDEX}): copy or download the checkpoint again."
        )
    return _sharded_headers(folder)


def _sharded_headers(folder: Path) -> dict[str, Header]:
    weight_map = read_weight_map(folder / INDEX)
    headers: dict[str, Header] = {}
    unlisted: list[tuple[str, str]] = []
    for shard in sorted(set(weight_map.values())):
        if not (folder / shard).is_file():
            raise UserError(
                f"{folder} lacks the shard {shard} named by its index: copy or download it again."
            )
        for name, header in read_headers(folder / shard).items():
            if weight_map.get(name) == shard:
                headers[name] = header
            else:
                unlisted.append((name, shard))
    for name, shard in weight_map.items():
        if name not in headers:
            raise UserError(
                f"{folder / shard} lacks the tensor {name} that the index puts there: download both again."
            )
    for name, shard in unlisted:
        if name in headers:
            raise UserError(
                f"{folder / shard} and {headers[name].file.name} both hold the tensor {name}, and the index "
                "means the latter: load the checkpoint with from_pretrained and save it with "
                "save_pretrained, which stores each tensor once."
            )
        raise UserError(
            f"{folder / shard} holds the tensor {name}, which the index does not put there: download both "
            "again."
        )
    return headers


def digest_folders(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Return the sha256 of each folder's content: weights, configs and tokenizer files.

    Large files are hashed side by side across the folders, in the order in which a merge reads them, so that
    what one of the two has read from the disk is still in memory for the other.
    """
    folders = [_list_files(checkpoint.folder, set(checkpoint.shards())) for checkpoint in checkpoints]
    order = [file for row in zip_longest(*folders) for file in row if file is not None]
    with ThreadPoolExecutor(max_workers=max(3, len(checkpoints))) as pool:
        hashes = dict(zip(order, pool.map(_hash, order), strict=True))
    contents = [[[file[0].name, hashes[file]] for file in files] for files in folders]
    return [sha256(json.dumps(content).encode()).hexdigest() for content in contents]


def _list_files(folder: Path, weights: set[Path]) -> list[HashedFile]:
    files = {path for path in folder.iterdir() if path.suffix in COMPANIONS and path.is_file()} | weights
    return [(path, read_file_state(path)) for path in sorted(files)]


@functools.lru_cache(maxsize=1024)
def _hash(file: HashedFile) -> str:
    """Return the file's sha256, computed once per process; its state is only part of the key."""
    return recall_sha256(file[0])
