"""Runs of Bring Reason to Vision's script, and tiny float16 triples whose values suit them."""

import itertools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.parity.conftest import rewrite
from tests.support import architectures

Folders = dict[tuple[str, str], Path]  # family, kind of values

# Per family: the tower's prefix in V's files, and in the script's output (whose paths must name the family).
FAMILIES = {"llava_next": ("language_model.model.", "model."), "idefics2": ("model.text_model.", "")}
SCOPE = ("layers.", "norm.weight")  # what the script touches of a text model: no embedding, no lm_head
ROLES = ("base", "vlm", "lrm")
UNIT = 2.0**-10
ALPHA, ALPHA2, DENSITY = 1.6, 0.2, 0.2  # the script's own point for TIES; its density everywhere

# Per kind of values, the script's runs. "small": 0.75 * V + 0.25 * R is exact in float16. "distinct": so are
# the task vectors, and no two entries of one have the same size, so that trimming leaves no choice.
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "base": {"mode": "base", "alpha": 0.75},
        "layerswap": {"mode": "layerswap", "alpha": 0.75, "base_layer_num": 0},
    },
    "random": {
        "base": {"mode": "base", "alpha": 0.9},
        "layerswap": {"mode": "layerswap", "alpha": 0.9, "base_layer_num": 0},
    },
    "distinct": {
        "ties": {"mode": "ties", "alpha": ALPHA, "alpha2": ALPHA2, "density": DENSITY},
        "ties, most kept": {"mode": "ties", "alpha": 1.0, "alpha2": 0.5, "density": 0.7},
    },
}
# Each model alone shows which of its entries were drawn: every run starts from one seed.
PAIRS = ((1.0, 0.0), (0.0, 1.0), (ALPHA, ALPHA2))
KEPT = 0.4
for mode in ("darelinear", "dareties"):
    for pair in PAIRS:
        RUNS["distinct"][f"{mode} {pair}"] = {
            "mode": mode, "alpha": pair[0], "alpha2": pair[1], "density": KEPT,
        }  # fmt: skip


def small(role: str, name: str, tensor: Tensor) -> Tensor:
    """At most 512 units: with weights of quarters, 11 bits hold every product and sum."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{role}/{name}".encode()))
    return torch.randint(-512, 513, tensor.shape, generator=generator) * UNIT


def distinct(role: str, name: str, tensor: Tensor) -> Tensor:
    """B, or B plus multiples of the unit that all differ in size; at most 2048 units in all."""
    n = tensor.numel()
    base = torch.randint(-256, 257, (n,), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if role != "base":
        generator = torch.Generator().manual_seed(zlib.crc32(f"{role}/{name}".encode()))
        signs = 1 - 2 * torch.randint(0, 2, (n,), generator=generator)
        base = base + signs * (1 + torch.randperm(n, generator=generator))
    return (base * UNIT).view_as(tensor)


VALUES: dict[str, Callable[[str, str, Tensor], Tensor]] = {
    "small": small,
    "distinct": distinct,
    "random": lambda role, name, tensor: tensor,
}


def write(new_folder: Callable[[str], Path]) -> Folders:
    """Per family and kind of values, a folder with a triple in float16."""
    made = {}
    for family, kind in itertools.product(FAMILIES, VALUES):
        folder = new_folder(f"{kind}_{family}")  # the script looks for the family in the path
        architectures.make(family, folder, dtype=torch.float16)
        for role in ROLES:
            prefix = prefix_of(family, role)

            def change(stored: str, tensor: Tensor, role=role, prefix=prefix, kind=kind) -> Tensor:
                name = stored.removeprefix(prefix)
                inside = stored.startswith(prefix) and name.startswith(SCOPE)
                return VALUES[kind](role, name, tensor).half() if inside else tensor

            rewrite(folder / role, change)
        made[family, kind] = folder
    return made


def prefix_of(family: str, role: str) -> str:
    return FAMILIES[family][0] if role == "vlm" else "model."


def tower(folder: Path, family: str) -> dict[str, dict[str, Tensor]]:
    """The tensors that the script touches, per role, under canonical names."""
    return {
        role: {
            name: tensor
            for stored, tensor in load_file(folder / role / "model.safetensors").items()
            if stored.startswith(prefix_of(family, role))
            and (name := stored.removeprefix(prefix_of(family, role))).startswith(SCOPE)
        }
        for role in ROLES
    }
