"""Apply LoRA and DoRA adapters to a base checkpoint, with peft's own arithmetic, one layer at a time.

What the adapters change is computed once, into the cache folder; every other tensor is read where the base
has it. The model is built without values: peft resolves targets, ranks and scales on it, and merges each
layer when its weights are put in.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from frism.cache import cache_folder, read_file_state
from frism.checkpoints.checkpoint import ADAPTER, COMPANIONS, Checkpoint
from frism.checkpoints.dtypes import TORCH_NAMES
from frism.checkpoints.headers import read_headers
from frism.checkpoints.sources import note_source
from frism.errors import UserError, find_reason
from frism.files import read_json, sha256_file
from frism.triples.towers import open_tower

WEIGHTS, NOTES = "adapter_model.safetensors", "notes.json"
VERSION = 1
SHARD_BYTES = 1 << 30
# What has to be a plain sum of the base and a low-rank matrix: these start from a base that they change.
_CHANGED_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")
_PREFIX = "base_model.model."


class AdaptedCheckpoint(Checkpoint):
    """A base checkpoint with adapters applied; `notes` names what they replace whole."""

    def __init__(self, base: Checkpoint, folder: Path) -> None:
        self.folder, self.config = folder, read_json(folder / "config.json")
        self.tensors = dict(base.tensors)
        for path in sorted(folder.glob("*.safetensors")):
            self.tensors |= read_headers(path)
        self.notes = tuple(read_json(folder / NOTES)["notes"])


def adapt(base: Checkpoint, adapters: Sequence[Path]) -> AdaptedCheckpoint:
    """Return the base with the sum of adapters applied, made now or earlier.

    Raises UserError when peft is not installed, a folder holds no such adapter, or an adapter does not fit.
    """
    note_source(
        folder / name for folder in adapters for name in (ADAPTER, WEIGHTS) if (folder / name).is_file()
    )
    configs = [_check(folder) for folder in adapters]
    state = [
        VERSION,
        [read_file_state(path).key for path in base.shards()],
        [[sha256_file(folder / name) for name in (ADAPTER, WEIGHTS)] for folder in adapters],
    ]
    key = sha256(json.dumps(state).encode()).hexdigest()[:16]
    final = cache_folder() / "adapted" / f"{'+'.join(folder.name for folder in adapters)}-{key}"
    if not final.is_dir():
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".adapting-", dir=final.parent))
        try:
            _write(base, adapters, configs, scratch)
            scratch.chmod(0o755)
            try:
                scratch.replace(final)
            except OSError:
                if not final.is_dir():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return AdaptedCheckpoint(base, final)


def _check(folder: Path) -> dict[str, Any]:
    """Return an adapter's config. Raises UserError when it is none that a merge can take."""
    if not (folder / ADAPTER).is_file():
        raise UserError(f"{folder} has no {ADAPTER}: after the + give the folder of an adapter of peft.")
    config = read_json(folder / ADAPTER)
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    if kind != "LORA":
        raise UserError(
            f"{folder} holds an adapter of type {kind}: give one of LoRA or DoRA (peft_type LORA)."
        )
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASES):
        raise UserError(
            f"{folder} was made with {start}, which changes the base as well: merge it with merge_and_unload "
            "of peft and give that folder."
        )
    if config.get("bias", "none") != "none" or config.get("target_parameters"):
        key = "bias" if config.get("bias", "none") != "none" else "target_parameters"
        raise UserError(f"{folder} sets {key}: merge it with merge_and_unload of peft and give that folder.")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}: copy or download the adapter again.")
    _check_ranks(folder, config)
    return config


def _check_ranks(folder: Path, config: dict[str, Any]) -> None:
    """Raise UserError for a rank that no tensor has: peft would reserve room for it before it looks."""
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r", 8), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    widest = max((max(h.shape, default=0) for h in read_headers(folder / WEIGHTS).values()), default=0)
    for rank in ranks:
        if type(rank) is not int or not 0 < rank <= widest:
            raise UserError(
                f"{folder / ADAPTER} gives the rank {rank!r}, and no tensor of {WEIGHTS} has it: copy"
                " or download the adapter again."
            )


def _write(base: Checkpoint, adapters: Sequence[Path], configs: Sequence[dict[str, Any]], out: Path) -> None:
    from safetensors.torch import save_file

    for folder, skipped in ((base.folder, ()), *((folder, ("config.json",)) for folder in adapters)):
        for path in sorted(folder.iterdir()):
            companion = path.suffix in COMPANIONS and not path.name.endswith(".index.json")
            if path.is_file() and companion and path.name not in skipped:
                shutil.copyfile(path, out / path.name)
    shard: dict[str, Any] = {}
    number = 0
    for stored, value in _merge(base, adapters):
        shard[stored] = value.contiguous()
        if sum(tensor.nbytes for tensor in shard.values()) >= SHARD_BYTES:
            number += 1
            save_file(shard, out / f"adapted-{number:05}.safetensors", {"format": "pt"})
            shard = {}
    if shard:
        save_file(shard, out / f"adapted-{number + 1:05}.safetensors", {"format": "pt"})
    replaced = sorted({name for config in configs for name in config.get("modules_to_save") or ()})
    notes = [f"the adapter replaces {', '.join(replaced)} whole (modules_to_save)."] if replaced else []
    (out / NOTES).write_text(json.dumps({"notes": notes}), encoding="utf-8")


def _merge(base: Checkpoint, adapters: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Yield (stored name, value) of every tensor that the adapters change, in the base's dtype."""
    try:
        import peft
        from peft.tuners.lora import LoraLayer
        from peft.utils import ModulesToSaveWrapper
    except ImportError as error:
        raise UserError("a LoRA adapter needs the package peft: install peft, or frism[adapters].") from error
    from torch import nn

    from frism.triples.model_classes import build_model

    tower = open_tower(base, "base")
    stored = {tower.parameter(name): tower.stored(name) for name in tower.names if tower.region(name) is None}
    names = [f"adapter{number}" for number in range(len(adapters))]
    try:
        model = build_model(base.folder)
        _hollow(model, base, stored)
        wrapped: Any = model
        for name, folder in zip(names, adapters, strict=True):
            if wrapped is model:
                wrapped = peft.PeftModel.from_pretrained(model, folder, adapter_name=name)
            else:
                wrapped.load_adapter(folder, adapter_name=name)
        for path, module in wrapped.named_modules():
            owner = path.removeprefix(_PREFIX)
            if isinstance(module, LoraLayer):
                inner: Any = module.get_base_layer()
                parameters = {
                    leaf: _find(stored, base, f"{owner}.{leaf}") for leaf, _ in inner.named_parameters()
                }
                for leaf, name in parameters.items():
                    setattr(inner, leaf, nn.Parameter(base.read(name), requires_grad=False))
                module.merge(adapter_names=[name for name in names if name in module.scaling])
                for leaf, name in parameters.items():
                    if leaf == "weight" or any(module.lora_bias.values()):
                        yield name, getattr(inner, leaf).data
                    setattr(inner, leaf, nn.Parameter(getattr(inner, leaf)[:0], requires_grad=False))
            elif isinstance(module, ModulesToSaveWrapper):
                saved = module.modules_to_save[names[-1]]
                for leaf, value in saved.named_parameters():
                    whole = stored.get(f"{owner}.{leaf}")
                    if whole is not None and tuple(value.shape) == base.header(whole).shape:
                        yield whole, value.data.to(base.read(whole).dtype)
    except UserError:
        raise
    except Exception as error:  # peft takes its configs and tensors as they are, and meets whatever they hold
        reason = find_reason(error)
        raise UserError(
            f"{adapters[-1]} does not fit {base.folder} ({reason}): give the base that it was trained on."
        ) from error


def _hollow(model: Any, base: Checkpoint, stored: dict[str | None, str]) -> None:
    """Give every parameter the base's dtype and a value that takes no memory: peft sees a real model."""
    import torch
    from torch import nn

    for path, parameter in list(model.named_parameters(remove_duplicate=False)):
        owner, _, leaf = path.rpartition(".")
        name = stored.get(path)
        dtype = getattr(torch, TORCH_NAMES[base.header(name).dtype]) if name else parameter.dtype
        value = torch.zeros((), dtype=dtype).expand(parameter.shape)
        model.get_submodule(owner)._parameters[leaf] = nn.Parameter(value, requires_grad=False)


def _find(stored: dict[str | None, str], base: Checkpoint, path: str) -> str:
    if path not in stored:
        raise UserError(
            f"the adapter changes {path}, which {base.folder} does not store as one tensor: merge it with "
            "merge_and_unload of peft and give that folder."
        )
    return stored[path]
