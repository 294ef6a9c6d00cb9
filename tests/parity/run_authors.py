"""In an environment with torch alone: run authors' own functions on task vectors, from checkouts of theirs.

python run_authors.py JOBS.json CHECKOUTS, jobs a list of {"function": NAME, "file": IN, "out": OUT,
"options": {}}. IN holds base, vlm and lrm; OUT gets one tensor, "merged".
"""

import ast
import importlib.util
import json
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(sys.argv[2])
SPECTRAL = "MLLMerging/fusion_bench/fusion_bench/method/yongxianwei_merging"


def load(path: str, package: str = "") -> types.ModuleType:
    name = f"{package}.{Path(path).stem}" if package else Path(path).stem.replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def functions_of(path: str) -> dict:
    """The functions of a script whose other lines need what is not there."""
    tree = ast.parse((ROOT / path).read_text())
    kept = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)]
    space = {"torch": torch}
    kept = [node for node in kept if isinstance(node, ast.FunctionDef)]
    exec(compile(ast.Module(kept, []), path, "exec"), space)
    return space


class TaskVectorOf:
    def __init__(self, tau: torch.Tensor) -> None:
        self.vector = {"w": tau}


def merge(
    function: str, base: torch.Tensor, vlm: torch.Tensor, lrm: torch.Tensor, options: dict
) -> torch.Tensor:
    taus = [TaskVectorOf(vlm - base), TaskVectorOf(lrm - base)]
    config = types.SimpleNamespace(DATASETS=["v", "r"], device="cpu", method=types.SimpleNamespace(**options))
    if function in ("iso_c", "iso_cts"):
        return base + getattr(load("iso-merging/src/utils/iso.py"), function)(taus, config)["w"]
    if function == "tsv_m":
        module = load("iso-merging/src/utils/TSVM_utils.py")
        return base + module.compute_and_sum_svd_mem_reduction(taus, config)["w"]
    if function == "dc_merge":
        return base + load("DC-Merge/vision_fft_merge/src/utils/DC_utils.py").dc_merge(taus, config)["w"]
    if function == "pcb":
        flat = torch.stack([tau.vector["w"].flatten() for tau in taus])
        merged = functions_of("pcb-merging/pcb-merging.py")["PCB_merge"](flat, **options)[0]
        return base + 1.2 * merged.view_as(base)
    package = types.ModuleType("spectral")
    package.__path__ = [str(ROOT / SPECTRAL)]
    sys.modules["spectral"] = package
    load(f"{SPECTRAL}/task_vector.py", "spectral")
    module = load(f"{SPECTRAL}/functional.py", "spectral")
    models = [{"w": vlm}, {"w": lrm}]
    return getattr(module, function)({"w": base}, models, None, progress=False, **options)["w"]


for job in json.loads(Path(sys.argv[1]).read_text()):
    tensors = load_file(job["file"])
    merged = merge(job["function"], tensors["base"], tensors["vlm"], tensors["lrm"], job["options"])
    save_file({"merged": merged.contiguous()}, job["out"])
