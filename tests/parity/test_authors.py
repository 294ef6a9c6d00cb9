"""Parity with the authors' released functions, run unchanged in a process of their own on the same matrices.

TSV-M and Iso from danielm1405/iso-merging, DC-Merge from Tobeginwith/DC-Merge, PCB from
duguodong7/pcb-merging, WUDI and OptMerge from WalkerWorldPeace/MLLMerging, at the Makefile's commits.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from frism.method.discovery import find
from frism.method.site import Site
from tests.parity import peers

pytestmark = [pytest.mark.parity, peers.needs_authors]

Case = tuple[str, dict[str, Any], str, dict[str, Any], float]
DESCENT = {"iter_num": 40, "learning_rate": 1e-4}
# Their function and options, our method and parameters, and how much of the largest entry may differ.
CASES: dict[str, Case] = {
    "TSV-M": ("tsv_m", {}, "tsv_m", {}, 1e-5),
    "Iso-C": ("iso_c", {}, "iso_c", {}, 1e-4),
    "Iso-CTS": ("iso_cts", {"common_space_fraction": 0.8}, "iso_cts", {}, 1e-3),
    "DC-Merge": ("dc_merge", {}, "dc_merge", {}, 1e-5),
    "PCB": ("pcb", {"pcb_ratio": 0.1}, "pcb", {}, 1e-4),
    "WUDI": ("wudi_merge_v1", DESCENT, "wudi", {"lr": 1e-4, "steps": 40}, 1e-4),
    "OptMerge": ("wudi_merge_v2", DESCENT, "optmerge", {"form": "adam", "lr": 1e-4, "steps": 40}, 1e-4),
    "SWUDI": ("swudi_merge", {"exp_time": 1300.0, "truncate_rank_ratio": 0.65}, "optmerge", {}, 1e-4),
    "ASWUDI": ("aswudi_merge", {}, "optmerge", {"form": "aswudi"}, 1e-4),
}
SHAPES = [(24, 24), (40, 16), (12, 30)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, files = tmp_path_factory.mktemp("authors"), []
    for seed, shape in enumerate(SHAPES):
        generator = torch.Generator().manual_seed(seed)
        base = torch.randn(shape, generator=generator)
        tensors = {r: base + 0.1 * torch.randn(shape, generator=generator) for r in ("vlm", "lrm")}
        files.append(folder / f"{seed}.safetensors")
        save_file({"base": base, **tensors}, files[-1])
    return files


@pytest.fixture(scope="module")
def theirs(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Tensor]:
    folder, jobs, made = tmp_path_factory.mktemp("merged"), [], {}
    for name, (function, options, *_) in CASES.items():
        for number, file in enumerate(models):
            out = folder / f"{len(jobs)}.safetensors"
            jobs.append({"function": function, "file": str(file), "out": str(out), "options": options})
            made[name, number] = out
    peers.run(peers.MERGEKIT, "run_authors.py", jobs, folder, peers.AUTHORS)
    return {key: load_file(path)["merged"] for key, path in made.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_method_gives_what_its_authors_code_gives(
    name: str, models: list[Path], theirs: dict[tuple[str, int], Tensor]
) -> None:
    _, _, ours, given, tolerance = CASES[name]
    method, worst = find(ours), 0.0
    params = method.validate(given)
    for number, file in enumerate(models):
        tensors = load_file(file)
        merged = method.run_merge(Site.of(**tensors), params)
        update = (theirs[name, number] - tensors["base"]).abs().max()
        worst = max(worst, float((merged - theirs[name, number]).abs().max() / update))
    print(f"{name}: at most {worst:.1e} of the largest entry of the update")
    assert worst < tolerance
