"""Convert pickled weights once to safetensors, on request, with torch's weights-only unpickler.

Positional reads and byte-wise copies need files whose offsets are known, which a pickle's are not. The
converted folder lies in the cache folder (`frism.cache`), named by the pickles' content, and is a whole
checkpoint: the other files of the original are copied beside the weights.
"""

import json
import shutil
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from frism.cache import cache_folder
from frism.checkpoints.index import INDEX, read_weight_map
from frism.errors import UserError, find_reason
from frism.files import sha256_file

PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def convert_pickles(folder: Path) -> Path:
    """Return a folder with the same checkpoint in safetensors, made now or earlier.

    One shard is in memory at a time. Raises UserError when there are no pickles or they hold more than
    tensors.
    """
    shards = _shards(folder)
    content = [[shard.name, sha256_file(shard)] for shard in shards]
    key = sha256(json.dumps([str(folder.resolve()), content]).encode()).hexdigest()[:16]
    final = cache_folder() / "converted" / f"{folder.name}-{key}"
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=final.parent))
    try:
        for path in folder.iterdir():
            if path.is_file() and path not in shards and path.name != PICKLE_INDEX:
                shutil.copyfile(path, scratch / path.name)
        _convert(shards, scratch)
        scratch.chmod(0o755)
        try:
            scratch.replace(final)
        except OSError:
            if not final.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return final


def _convert(shards: list[Path], scratch: Path) -> None:
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        tensors = _unshare(_load(shard))
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(tensors, scratch / name, {"format": "pt"})
        (scratch / name).chmod(0o644)
        total += sum(tensor.nbytes for tensor in tensors.values())
        weight_map |= dict.fromkeys(tensors, name)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (scratch / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _load(shard: Path) -> dict[str, Tensor]:
    # Files written before torch 1.6 are no zip archives, which cannot be mapped.
    mapped = zipfile.is_zipfile(shard)
    try:
        loaded = torch.load(shard, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle makes the unpickler raise whatever its stack holds
        reason = find_reason(error)
        raise UserError(
            f"{shard} holds more than tensors or is damaged ({reason}): do not use it."
        ) from error
    if not isinstance(loaded, dict) or not loaded or not all(map(_is_named_tensor, loaded.items())):
        raise UserError(
            f"{shard} does not hold a dictionary of tensors: give the folder that from_pretrained loads."
        )
    return loaded


def _is_named_tensor(entry: tuple[object, object]) -> bool:
    """Tell whether an entry is a dense tensor with values, under a name that a header can hold."""
    name, value = entry
    dense = isinstance(value, Tensor) and value.layout is torch.strided and value.device.type == "cpu"
    return dense and isinstance(name, str) and name.isprintable() and name not in ("", "__metadata__")


def _unshare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous tensors that share no memory, as safetensors demands."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        separate[name] = (tensor.clone() if storage in seen else tensor).contiguous()
        seen.add(storage)
    return separate


def _shards(folder: Path) -> list[Path]:
    if (folder / PICKLE_INDEX).is_file():
        shards = [folder / name for name in sorted(set(read_weight_map(folder / PICKLE_INDEX).values()))]
    else:
        shards = [folder / PICKLE]
    for shard in shards:
        if not shard.is_file():
            raise UserError(f"{folder} has no weights ({shard.name}): copy or download the checkpoint again.")
    return shards
