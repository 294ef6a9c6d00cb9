"""Write a merge as a LoRA adapter on V, where what it adds to each matrix has a low rank.

The adapter is in peft's format, fp32, every matrix padded to one rank with zeros, so that peft and vLLM load
it without patterns of ranks. Its scale is 1: V + B A is the merge.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frism.checkpoints.checkpoint import ADAPTER
from frism.errors import UserError
from frism.files import explain_refusal, synchronise
from frism.merging.export import refuse_inside
from frism.merging.on_load import merge
from frism.method.fitted import Fitted
from frism.method.recipe import RECORDS, Recipe
from frism.triples.adapters import WEIGHTS
from frism.triples.triple import Triple

# Directions below this share of the change are rounding: an fp32 result keeps about seven digits.
NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class Adapter:
    """Say what was written: rank, number of matrices, the largest share of a change that was cut off."""

    rank: int
    matrices: int
    lost: float


def export_adapter(
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted | None,
    out: Path,
    *,
    rank: int | None = None,
    spectra: Path | None = None,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda name: None,
) -> Adapter:
    """Write merged - V of every matrix as B A to the folder `out`.

    Args:
        rank: keep at most so many directions per matrix, the largest; None keeps all that are more than
            rounding, and refuses a merge that has more of them than half of a matrix's shorter side.

    Raises UserError, with nothing under the final name, when the merge changes more than matrices, or is not
    of low rank.
    """
    refuse_inside(triple, out)
    if out.exists():
        raise UserError(f"{out} exists already: remove it or choose another --out.")
    _check_scope(triple, recipe)
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    lost = 0.0
    with torch.no_grad():
        for name, merged in merge(triple, recipe, fitted, device, spectra):
            progress(name)
            delta = merged - triple.read("vlm", name, device)
            if not delta.any():
                continue
            module = triple.parameter_name(name).removesuffix(".weight")
            factors[module], cut = _factorise(name, delta, rank, 2**-23 * float(merged.norm()))
            lost = max(lost, cut)
    if not factors:
        raise UserError(f"variant {recipe.name} changes nothing of V: there is no adapter to write.")
    width = max(down.shape[0] for down, _ in factors.values())
    _write(out, factors, width, triple, recipe, fitted)
    return Adapter(width, len(factors), lost)


def _check_scope(triple: Triple, recipe: Recipe) -> None:
    for name in triple.names(recipe.scope):
        whole = triple.towers["vlm"].region(name) is None and triple.towers["vlm"].parameter(name)
        if triple.kind(name) != "matrix" or not whole:
            raise UserError(
                f"variant {recipe.name} changes {name}, which an adapter cannot hold: export it as a "
                "checkpoint, or merge in scope mat."
            )


def _factorise(
    name: str, delta: Tensor, rank: int | None, rounding: float
) -> tuple[tuple[Tensor, Tensor], float]:
    """Return (A, B) with B A close to `delta`, on the CPU, and the share of its norm that is cut off.

    `rounding`: the norm of what fp32 makes of V + delta, which is no direction of the merge.
    """
    u, s, vh = torch.linalg.svd(delta.double() if delta.device.type == "cpu" else delta, full_matrices=False)
    tails = s.square().flip(0).cumsum(0).flip(0).sqrt()  # tails[k]: what is left after k directions
    needed = int((tails > NEGLIGIBLE * tails[0] + rounding).sum())
    kept = min(needed, rank) if rank is not None else needed
    if rank is None and needed > min(delta.shape) // 2:
        raise UserError(
            f"{name}: what the merge adds has rank {needed} of {min(delta.shape)}, so an adapter would be no "
            "smaller: export a checkpoint, or give --rank to keep the largest directions only."
        )
    root = s[:kept].sqrt()
    down, up = root[:, None] * vh[:kept], u[:, :kept] * root
    cut = float(tails[kept] / tails[0]) if kept < len(s) else 0.0
    return (down.float().cpu().contiguous(), up.float().cpu().contiguous()), cut if kept < needed else 0.0


def _write(
    out: Path,
    factors: dict[str, tuple[Tensor, Tensor]],
    width: int,
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted | None,
) -> None:
    from safetensors.torch import save_file

    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(triple.vlm_folder),
        "r": width, "lora_alpha": width, "lora_dropout": 0.0, "bias": "none", "inference_mode": True,
        "fan_in_fan_out": False, "use_rslora": False, "use_dora": False, "target_modules": sorted(factors),
    }  # fmt: skip
    tensors = {}
    for module, (down, up) in factors.items():
        missing = width - down.shape[0]
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.nn.functional.pad(
            down, (0, 0, 0, missing)
        )
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.nn.functional.pad(up, (0, missing))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise explain_refusal(out, error) from error
    try:
        save_file(tensors, scratch / WEIGHTS, {"format": "pt"})
        (scratch / ADAPTER).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        recipe.save(scratch / RECORDS, fitted)
        for path in (scratch / WEIGHTS, scratch / ADAPTER):
            path.chmod(0o644)
            synchronise(path)
        scratch.chmod(0o755)
        scratch.rename(out)
    except OSError as error:
        raise explain_refusal(out, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
