"""mergekit configurations, and the method of ours with the options that must give the same."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

V, R, B = "vlm", "lrm", "base"
MERGEKIT_TIES = {"trimming": "exact", "election": "weighted", "zero_sum": "positive"}


@dataclass(frozen=True)
class Case:
    """A mergekit configuration and the method of ours, with its options, that must give the same."""

    merge_method: str
    models: dict[str, dict[str, float]]
    method: str
    params: dict[str, Any]
    base: str | None = B
    parameters: dict[str, Any] = field(default_factory=dict)


CASES = {
    "linear": Case("linear", {V: {"weight": 0.9}, R: {"weight": 0.1}}, "interp", {"vlm_weight": 0.9}, None),
    "linear of unequal sum": Case("linear", {V: {"weight": 2.0}, R: {"weight": 0.5}}, "linear",
                                  {"vlm_weight": 2.0, "lrm_weight": 0.5}, None),
    "linear of three": Case(
        "linear", {B: {"weight": 0.2}, V: {"weight": 0.5}, R: {"weight": 0.8}}, "linear",
        {"base_weight": 0.2, "vlm_weight": 0.5, "lrm_weight": 0.8}, None),
    "linear, not normalized": Case(
        "linear", {V: {"weight": 0.7}, R: {"weight": 0.6}}, "linear",
        {"vlm_weight": 0.7, "lrm_weight": 0.6, "normalize": False}, None, {"normalize": False}),
    "task arithmetic, symmetric": Case(
        "task_arithmetic", {V: {"weight": 1.0}, R: {"weight": 1.0}}, "ta_sym", {"strength": 0.3},
        parameters={"lambda": 0.3}),
    "task arithmetic, V whole": Case(
        "task_arithmetic", {V: {"weight": 1.0}, R: {"weight": 0.4}}, "inject", {"strength": 0.4}),
    "task arithmetic, two weights": Case(
        "task_arithmetic", {V: {"weight": 0.7}, R: {"weight": 0.4}}, "linear",
        {"base_weight": -0.1, "vlm_weight": 0.7, "lrm_weight": 0.4}),
    "slerp": Case("slerp", {V: {}, R: {}}, "slerp", {"t": 0.3}, V, {"t": 0.3}),
    "slerp, all of R": Case("slerp", {V: {}, R: {}}, "slerp", {"t": 1.0}, V, {"t": 1.0}),
    "ties": Case(
        "ties", {V: {"weight": 1.0, "density": 0.3}, R: {"weight": 0.5, "density": 0.3}}, "ties",
        {"density": 0.3, "lrm_weight": 0.5, "divide_by": "weights", **MERGEKIT_TIES}),
    "ties, equal weights": Case(
        "ties", {V: {"weight": 1.0, "density": 0.2}, R: {"weight": 1.0, "density": 0.2}}, "ties",
        {"density": 0.2, "strength": 0.7, "divide_by": "weights", **MERGEKIT_TIES},
        parameters={"lambda": 0.7}),
    "ties, a sum": Case(
        "ties", {V: {"weight": 1.6, "density": 0.55}, R: {"weight": 0.2, "density": 0.55}}, "ties",
        {"density": 0.55, "vlm_weight": 1.6, "lrm_weight": 0.2, "divide_by": "one", **MERGEKIT_TIES},
        parameters={"normalize": False}),
    "nuslerp of task vectors": Case(
        "nuslerp", {V: {"weight": 0.7}, R: {"weight": 0.3}}, "slerp_delta", {"t": 0.3, "straight": 1.0},
        parameters={"nuslerp_flatten": True}),
    "breadcrumbs": Case(
        "breadcrumbs", {role: {"weight": weight, "density": 0.4} for role, weight in ((V, 1.0), (R, 0.6))},
        "breadcrumbs", {"density": 0.4, "gamma": 0.05, "strength": 0.6, "mask_vlm": True},
        parameters={"gamma": 0.05}),
    "breadcrumbs, V whole": Case(
        "breadcrumbs", {V: {"weight": 1.0, "density": 1.0}, R: {"weight": 0.6, "density": 0.97}},
        "breadcrumbs", {"density": 0.97, "gamma": 0.1, "strength": 0.6}, parameters={"gamma": 0.1}),
    "sce": Case("sce", {V: {}, R: {}}, "sce", {"density": 0.3, "floor": 1e-6},
                parameters={"select_topk": 0.3}),
    "sce, everything selected": Case("sce", {V: {}, R: {}}, "sce", {"density": 1.0, "floor": 1e-6}),
    "ram": Case("ram", {V: {}, R: {}}, "ram", {"changed": 0.01, "gain": 0.0}, parameters={"epsilon": 0.01}),
    "ram+": Case("ramplus_tl", {V: {}, R: {}}, "ram", {"changed": 0.01, "gain": 0.3, "most": 0.7},
                 parameters={"epsilon": 0.01, "r": 0.3, "alpha": 0.7}),
    "passthrough": Case("passthrough", {V: {}}, "vlm", {}, None),
    "dare, everything kept": Case(
        "dare_linear", {V: {"weight": 1.0, "density": 1.0}, R: {"weight": 0.4, "density": 1.0}},
        "dare_linear", {"density": 1.0, "strength": 0.4}),
}  # fmt: skip

# Random methods run three times with one seed: each model alone shows which of its entries were drawn.
DENSITY, SEED = 0.4, 7
DRAWN = {
    f"{method} {pair}": Case(
        method, {V: {"weight": pair[0], "density": DENSITY}, R: {"weight": pair[1], "density": DENSITY}},
        method, {})
    for method in ("dare_linear", "dare_ties") for pair in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.6))
}  # fmt: skip

DRAWN |= {
    f"della {pair}": Case(
        "della",
        {role: {"weight": weight, "density": DENSITY, "epsilon": 0.2}
         for role, weight in zip((V, R), pair, strict=True)},
        "della", {})
    for pair in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.6))
}  # fmt: skip

CHOOSING = {"ties", "breadcrumbs", "sce"}  # among entries of equal size, of which bfloat16 has many

NATIVE = "bfloat16 throughout"  # what mergekit does by default: arithmetic in the checkpoint's dtype


def configuration(case: Case, folder: Path, dtype: str) -> str:
    models = [{"model": str(folder / role), "parameters": given} for role, given in case.models.items()]
    content: dict[str, Any] = {
        "merge_method": case.merge_method,
        "models": models,
        "parameters": case.parameters,
    }
    if dtype != NATIVE:
        content |= {"dtype": "float32", "out_dtype": dtype}
    if case.base:
        content["base_model"] = str(folder / case.base)
    return yaml.safe_dump(content)
