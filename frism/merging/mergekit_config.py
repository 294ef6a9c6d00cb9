"""A recipe in mergekit's words (mergekit_config.yml), where mergekit has the method; a comment where not.

The arithmetic of the language tower is meant: mergekit itself cannot merge a vision-language model with a
text model. See the documentation of mergekit 0.1.5 for the parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any

from frism.method.parameters import Value
from frism.method.recipe import Recipe

Names = Mapping[str, str]  # role -> the checkpoint's name
Params = Mapping[str, Value]


def _task_vectors(
    method: str, names: Names, vlm: Params, lrm: Params, options: Params | None = None
) -> dict[str, Any]:
    return {
        "merge_method": method,
        "base_model": names["base"],
        "models": [
            {"model": names["vlm"], "parameters": dict(vlm)},
            {"model": names["lrm"], "parameters": dict(lrm)},
        ],
        "parameters": {"normalize": False} | dict(options or {}),
    }


def _linear(names: Names, weights: Params, normalize: bool) -> dict[str, Any]:
    models = [{"model": names[role], "parameters": {"weight": w}} for role, w in weights.items() if w]
    return {"merge_method": "linear", "models": models, "parameters": {"normalize": normalize}}


def _dare(names: Names, p: Params) -> dict[str, Any]:
    thinned = {"weight": p["vlm_weight"], "density": p["density"]}
    vlm = thinned if p["drop_vlm"] else {"weight": 1.0, "density": 1.0}
    lrm = {"weight": p["strength"], "density": p["density"]}
    return _task_vectors("dare_linear", names, vlm, lrm, {"rescale": p["rescale"]})


def _elected(method: str, *more: str) -> Callable[[Names, Params], dict[str, Any]]:
    """TIES' election, with the options that `more` names."""

    def config(names: Names, p: Params) -> dict[str, Any]:
        vlm, lrm = ({"weight": p[f"{role}_weight"], "density": p["density"]} for role in ("vlm", "lrm"))
        options = {"normalize": p["divide_by"] != "one", "lambda": p["strength"]} | {n: p[n] for n in more}
        return _task_vectors(method, names, vlm, lrm, options)

    return config


METHODS: dict[str, Callable[[Names, Params], dict[str, Any]]] = {
    "vlm": lambda names, p: {"merge_method": "passthrough", "models": [{"model": names["vlm"]}]},
    "inject": lambda names, p: _task_vectors(
        "task_arithmetic", names, {"weight": 1.0}, {"weight": p["strength"]}
    ),
    "ta_sym": lambda names, p: _task_vectors(
        "task_arithmetic", names, {"weight": p["strength"]}, {"weight": p["strength"]}
    ),
    "interp": lambda names, p: _linear(
        names, {"vlm": p["vlm_weight"], "lrm": 1 - float(p["vlm_weight"])}, normalize=False
    ),
    "linear": lambda names, p: _linear(
        names, {role: p[f"{role}_weight"] for role in ("base", "vlm", "lrm")}, normalize=bool(p["normalize"])
    ),
    "slerp": lambda names, p: {
        "merge_method": "slerp",
        "base_model": names["vlm"],
        "models": [{"model": names["lrm"]}],
        "parameters": {"t": p["t"]},
    },
    "ties": _elected("ties"),
    "dare_linear": _dare,
    "dare_ties": _elected("dare_ties", "rescale"),
}  # fmt: skip
# Where mergekit's result is another one, in what.
DIFFERENCES = {
    "ties": "ties: mergekit keeps int(density * n) entries, weighs before the election and divides by the "
    "weights; compare `trimming`, `election`, `zero_sum` and `divide_by` in recipe.json.",
    "dare_linear": "dare_linear: other random numbers, and mergekit rescales to the L1 norm of each tensor "
    "(`restore` in recipe.json).",
    "dare_ties": "dare_ties: other random numbers; compare `restore`, `election`, `zero_sum` and `divide_by` "
    "in recipe.json.",
    "slerp": "slerp: the same formula, in fp32.",
}


def mergekit_config(recipe: Recipe, names: Names, dtype: str | None = None) -> str:
    """The text of mergekit_config.yml.

    Args:
        names: what the checkpoints are called, by role.
        dtype: safetensors' name of the dtype that merged tensors were cast to, if not V's own.
    """
    import yaml

    head = [
        f"# Made by frism (method {recipe.method}, recipe {recipe.key}), not by mergekit, which cannot merge",
        "# a vision-language model with a text model: what follows is the arithmetic of the language tower,",
        f"# scope {recipe.scope}; all other tensors are the receiver's.",
    ]
    if recipe.method not in METHODS:
        values = ", ".join(f"{name}={value}" for name, value in recipe.params.items()) or "no parameters"
        return "\n".join([*head, f"# mergekit has no such method: {recipe.method} with {values}.", ""])
    if recipe.method in DIFFERENCES:
        head.append(f"# {DIFFERENCES[recipe.method]}")
    config = METHODS[recipe.method](names, recipe.params) | {
        "dtype": "float32",
        "tokenizer_source": names["vlm"],
    }
    if dtype:
        head.append(f"# Merged tensors were cast to {dtype}.")
    return "\n".join([*head, yaml.safe_dump(config, sort_keys=False)])
