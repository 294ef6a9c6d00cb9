"""Write a merge as a mergekit configuration: the parts that methods share.

The arithmetic of the language tower is meant: mergekit itself cannot merge a vision-language model with a
text model. See the documentation of mergekit 0.1.5 for the parameters.
"""

from collections.abc import Mapping
from typing import Any

from frism.method.parameters import Value

Names = Mapping[str, str]  # role -> the checkpoint's name
Params = Mapping[str, Value]
Config = dict[str, Any]


def configure_task_vectors(method: str, names: Names, vlm: Params, lrm: Params, **options: Value) -> Config:
    """Write a method on task vectors; `vlm` and `lrm` are the parameters of each model."""
    return {
        "merge_method": method,
        "base_model": names["base"],
        "models": [
            {"model": names["vlm"], "parameters": dict(vlm)},
            {"model": names["lrm"], "parameters": dict(lrm)},
        ],
        "parameters": {"normalize": False} | options,
    }


def configure_linear(names: Names, weights: Mapping[str, float], normalize: bool) -> Config:
    """Write a weighted sum; models of weight 0 are left out."""
    models = [{"model": names[role], "parameters": {"weight": w}} for role, w in weights.items() if w]
    return {"merge_method": "linear", "models": models, "parameters": {"normalize": normalize}}


def configure_election(method: str, names: Names, p: Params, *more: str) -> Config:
    """Write TIES' election, with the options that `more` names."""
    vlm, lrm = ({"weight": p[f"{role}_weight"], "density": p["density"]} for role in ("vlm", "lrm"))
    options = {"normalize": p["divide_by"] != "one", "lambda": p["strength"]} | {n: p[n] for n in more}
    return configure_task_vectors(method, names, vlm, lrm, **options)
