"""Triples of random bfloat16 weights in the true shapes of Qwen2.5's text models, written shard by shard."""

import json
import multiprocessing
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

ROLES = ("base", "vlm", "lrm")
SHARD = 10**9  # bytes; a larger tensor has a file of its own
# Of the Qwen2.5 text models. The 7B shape has a small vocabulary: its layers are what is measured, and three
# models and a result of it have to fit on a disk.
_SMALL = {"vocab_size": 151936, "num_key_value_heads": 2, "tie_word_embeddings": True}
SHAPES: dict[str, dict[str, Any]] = {
    "0.5b": _SMALL | {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
                      "num_attention_heads": 14},
    "1.5b": _SMALL | {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
                      "num_attention_heads": 12},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 1024,
           "tie_word_embeddings": False},
}  # fmt: skip


def make(folder: Path, name: str, layers: int | None = None) -> None:
    """Write a triple in a process of its own: this one imports the standard library only."""
    shape = SHAPES[name] | ({"num_hidden_layers": layers} if layers else {})
    needed, free = 4 * size_of(shape) + 2 * SHARD, shutil.disk_usage(folder).free
    if needed > free:
        sys.exit(
            f"error: {folder} has {free / 1e9:.1f} GB left, and three models of this shape and a result take "
            f"{needed / 1e9:.1f} GB: choose another with --folder."
        )
    child = multiprocessing.get_context("spawn").Process(target=write, args=(folder, shape))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"error: the triple could not be written (exit code {child.exitcode}).")


def size_of(shape: dict[str, Any]) -> int:
    """Bytes of one model in bfloat16, to a few thousand."""
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    keys = hidden // heads * shape["num_key_value_heads"]
    layer = 2 * hidden * (hidden + keys) + 3 * hidden * shape["intermediate_size"]
    tables = shape["vocab_size"] * hidden * (1 if shape["tie_word_embeddings"] else 2)
    return 2 * (layer * shape["num_hidden_layers"] + tables)


def write(folder: Path, shape: dict[str, Any]) -> None:
    """Write base/, vlm/ and lrm/ as sharded bfloat16 checkpoints of Qwen2ForCausalLM, shard by shard."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(architectures=["Qwen2ForCausalLM"], dtype="bfloat16", **shape)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    shards: list[dict[str, Any]] = [{}]
    for name, tensor in model.state_dict().items():
        if name in tied:
            continue
        if shards[-1] and sum(2 * t.numel() for t in shards[-1].values()) + 2 * tensor.numel() > SHARD:
            shards.append({})
        shards[-1][name] = tensor
    # Normal numbers from a pool, at a place of their own per tensor: the disk is slow enough.
    pool = torch.randn(1 << 24, generator=torch.Generator().manual_seed(0))
    for role in ROLES:
        config.save_pretrained(folder / role)
        where = {}
        for number, shard in enumerate(shards, start=1):
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
            tensors = {}
            for name, tensor in shard.items():
                value = 0.02 * _numbers(pool, f"base {name}", tensor.numel())
                if role != "base":
                    value += 0.002 * _numbers(pool, f"{role} {name}", tensor.numel())
                tensors[name] = value.bfloat16().view(tensor.shape)
                where[name] = file
            save_file(tensors, folder / role / file, {"format": "pt"})
        size = sum(path.stat().st_size for path in (folder / role).glob("*.safetensors"))
        index = {"metadata": {"total_size": size}, "weight_map": where}
        (folder / role / "model.safetensors.index.json").write_text(json.dumps(index))


def _numbers(pool: Any, key: str, count: int) -> Any:
    start = zlib.crc32(key.encode()) % pool.numel()
    rolled = pool.roll(-start)
    return rolled.repeat(-(-count // pool.numel()))[:count]
