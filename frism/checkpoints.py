"""One checkpoint folder: its config, the header of every tensor, one tensor at a time, and a digest of its
content."""

import functools
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from frism.errors import UserError, nearest
from frism.files import read_json, sha256_file

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# What from_pretrained reads beside the weights: configs, tokenizer, chat template, remote code; no prose.
_SUFFIXES = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"}
_PICKLES = ("*.bin", "*.pt", "*.pth")


@dataclass(frozen=True)
class Header:
    """Where one tensor lies and what it is, known without reading its values."""

    file: Path
    dtype: str  # as safetensors spells it: "F32", "BF16", ...
    shape: tuple[int, ...]


class Checkpoint:
    """A `from_pretrained` folder with safetensors weights, single or sharded; no tensor is kept in memory.

    Raises UserError when the folder, its config or a shard is missing, a file is truncated, or the index and
    the shards disagree.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{folder} is not a folder: give a local checkpoint (download it first).")
        if not (self.folder / "config.json").is_file():
            raise UserError(
                f"{folder} has no config.json: point at the folder that from_pretrained would load."
            )
        self.config: dict[str, Any] = read_json(self.folder / "config.json")
        self.tensors: dict[str, Header] = _headers(self.folder)

    @property
    def model_type(self) -> str:
        """The architecture's name in config.json, such as "qwen2_5_vl"."""
        return str(self.config.get("model_type", ""))

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the config (older configs hold it flat)."""
        nested = self.config.get("text_config")
        return nested if isinstance(nested, dict) else self.config

    def header(self, name: str) -> Header:
        """Return a stored tensor's header. Raises UserError when there is none of that name."""
        if name not in self.tensors:
            raise UserError(f"{self.folder} has no tensor {name}.{nearest(name, self.tensors)}")
        return self.tensors[name]

    def read(self, name: str) -> Tensor:
        """Return one tensor as stored (CPU). Raises UserError when it is absent, unreadable or not finite."""
        header = self.header(name)
        try:
            with safe_open(header.file, framework="pt") as weights:
                tensor: Tensor = weights.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _unreadable(header.file, error) from error
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise UserError(
                f"{header.file}: tensor {name} has {bad} NaN or infinite values of {tensor.numel()}: "
                "download the checkpoint again or export it again from training."
            )
        return tensor

    @property
    def digest(self) -> str:
        """sha256 over weights, configs and tokenizer files; computed once per process and file state."""
        return _folder_digest(self.folder, {header.file for header in self.tensors.values()})


def _headers(folder: Path) -> dict[str, Header]:
    if (folder / WEIGHTS).is_file():
        return dict(_file_headers(folder / WEIGHTS))
    if not (folder / INDEX).is_file():
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"{folder} has pickled weights only ({pickles[0]}): convert them to safetensors first."
            )
        raise UserError(
            f"{folder} has no weights ({WEIGHTS} or {INDEX}): copy or download the checkpoint again."
        )
    return _sharded_headers(folder)


def _sharded_headers(folder: Path) -> dict[str, Header]:
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / INDEX} has no weight_map: copy or download the index again.")
    headers: dict[str, Header] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise UserError(
                f"{folder / INDEX} points outside its folder ({shard}): use shards beside the index."
            )
        if not (folder / shard).is_file():
            raise UserError(
                f"{folder} lacks the shard {shard} named by its index: copy or download it again."
            )
        for name, header in _file_headers(folder / shard):
            if weight_map.get(name) == shard:
                headers[name] = header
    for name, shard in weight_map.items():
        if name not in headers:
            raise UserError(
                f"{folder / shard} lacks the tensor {name} that the index puts there: download both again."
            )
    return headers


def _file_headers(path: Path) -> Iterable[tuple[str, Header]]:
    """Read a file's table of contents; safetensors checks that the file is as long as the table says."""
    try:
        with safe_open(path, framework="numpy") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
            return [(n, Header(path, s.get_dtype(), tuple(s.get_shape()))) for n, s in slices.items()]
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as cause:
        return UserError(f"cannot read {path}: {cause.strerror or cause}.")
    if start.startswith(b"version ") and b"git-lfs" in start:
        return UserError(f"{path} is a git-lfs pointer, not weights: run `git lfs pull` in its repository.")
    return UserError(f"{path} is truncated or not a safetensors file ({error}): copy or download it again.")


def _folder_digest(folder: Path, weights: set[Path]) -> str:
    files = {path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file()} | weights
    states = tuple(
        (path, (stat := path.stat()).st_size, stat.st_mtime_ns, stat.st_ino) for path in sorted(files)
    )
    return _states_digest(states)


@functools.lru_cache(maxsize=64)
def _states_digest(states: tuple[tuple[Path, int, int, int], ...]) -> str:
    """Hash files in parallel (hashlib releases the interpreter lock); the state is only the cache's key."""
    paths = [state[0] for state in states]
    with ThreadPoolExecutor(max_workers=4) as pool:
        hashes = list(pool.map(sha256_file, paths))
    content = [[path.name, value] for path, value in zip(paths, hashes, strict=True)]
    return sha256(json.dumps(content).encode()).hexdigest()
