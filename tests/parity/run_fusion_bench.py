"""In an environment with torch alone: run FusionBench's own functions, from a checkout of it.

python run_fusion_bench.py JOBS.json CHECKOUT, jobs a list of {"function": NAME, "file": IN, "out": OUT,
"options": {}}. What IN and OUT hold is said at each function.
"""

import ast
import functools
import json
import sys
import typing
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

PACKAGE = Path(sys.argv[2]) / "fusion_bench"


def definitions_of(path: str, **given: object) -> dict:
    """The functions of a file, and the classes that need nothing of the rest of the package."""
    names = {
        "torch": torch, "Tensor": Tensor, "nn": nn, "functools": functools, "deepcopy": deepcopy,
        "functional_call": functional_call, "TorchModelType": TypeVar("TorchModelType"),
        "StateDictType": dict, **vars(typing), **given,
    }  # fmt: skip
    kept = [
        node
        for node in ast.parse((PACKAGE / path).read_text()).body
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.ClassDef) and "Algorithm" not in node.name)
    ]
    exec(compile(ast.Module(kept, []), path, "exec"), names)
    return names


def regmean(tensors: dict[str, Tensor], options: dict) -> dict[str, Tensor]:
    """Of vlm, lrm and their inputs' second moments: merged."""
    run = definitions_of("method/regmean/regmean.py")["merging_with_regmean_weights"]
    weights = [{"w": tensors["inputs_vlm"]}, {"w": tensors["inputs_lrm"]}]
    merged = run({"w.weight": [tensors["vlm"], tensors["lrm"]]}, weights, **options)
    return {"merged": merged["w.weight"]}


def fisher(tensors: dict[str, Tensor], options: dict) -> dict[str, Tensor]:
    """Of vlm, lrm and their Fisher informations: merged."""
    run = definitions_of("method/fisher_merging/fisher_merging.py")["merging_with_fisher_weights"]
    weights = [{"w": tensors["fisher_vlm"]}, {"w": tensors["fisher_lrm"]}]
    scale = torch.tensor(options.pop("weights"))
    return {"merged": run({"w": [tensors["vlm"], tensors["lrm"]]}, weights, scale, **options)["w"]}


class Pair(nn.Module):
    """Two layers, each a matrix."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first.clone()), nn.Parameter(second.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.tanh(inputs @ self.first.T) @ self.second.T


def get(module: nn.Module, names: list[str]) -> Tensor:
    return functools.reduce(getattr, names, module)


def adamerging(tensors: dict[str, Tensor], options: dict) -> dict[str, Tensor]:
    """Of the layers of vlm and expert, inputs and coefficients: merged layers, entropy and its gradient."""
    wrapper = definitions_of("models/wrappers/layer_wise_fusion.py", get_attr=get)["LayerWiseMergedModel"]
    entropy = definitions_of("method/adamerging/entropy_loss.py")["entropy_loss"]
    models = [Pair(tensors[f"{role}_0"], tensors[f"{role}_1"]) for role in ("vlm", "expert")]
    model = wrapper(tensors["coefficients"][None], models[0], models[1:], clamp_weights=False)
    model.merge_weights()
    loss = entropy(model(tensors["inputs"]), **options)
    loss.backward()
    merged = {f"merged_{i}": t.detach() for i, t in enumerate(model._merged_state_dict.values())}
    return {**merged, "entropy": loss.detach(), "gradient": model.merge_weight.grad[0]}


for job in json.loads(Path(sys.argv[1]).read_text()):
    made = globals()[job["function"]](load_file(job["file"]), job["options"])
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, job["out"])
