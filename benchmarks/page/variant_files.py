"""Read what a study keeps of one variant: recipe, choice, norms by layer, learning curve."""

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from frism.errors import UserError
from frism.files import read_json

LAYER = re.compile(r"layers\.(\d+)\.(.+?)(?:\.weight|\.bias)?$")
POINTS = 400  # of a learning curve: more are thinned out


def describe_variant(results: Path, study: StudyConfig, name: str) -> dict[str, Any]:
    """Describe a variant. Raises UserError for a file that is broken; one that is absent is left out."""
    folder = Layout(results).variant(name)
    settings = study.variants[name]
    found: dict[str, Any] = {
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "role": study.role(name),
    }
    if (folder / "recipe.json").exists():
        found["recipe"] = read_json(folder / "recipe.json")
    if (folder / "choice.json").exists():
        choice = read_json(folder / "choice.json")
        found["choice"] = {key: choice[key] for key in ("point", "rule", "budget_missed") if key in choice}
    if (folder / "norms.csv").exists():
        found["norms"] = sum_norms(_read(folder / "norms.csv"))
    if (folder / "learning.csv").exists():
        found["learning"] = _thin(_read(folder / "learning.csv"))
    return found


def sum_norms(norms: pd.DataFrame) -> dict[str, Any]:
    """Sum the norms of what was injected: by layer, and by layer and module, roots of summed squares."""
    layers: dict[int, float] = {}
    modules: dict[str, dict[int, float]] = {}
    for tensor, norm in zip(norms["tensor"].astype(str), norms["injected_norm"].astype(float), strict=True):
        if (place := LAYER.search(tensor)) is None or math.isnan(norm):
            continue
        layer, module = int(place[1]), place[2].split(".")[-1]
        layers[layer] = layers.get(layer, 0.0) + norm**2
        own = modules.setdefault(module, {})
        own[layer] = own.get(layer, 0.0) + norm**2
    order = sorted(layers)
    return {
        "layers": order,
        "norm": [_round(layers[k]) for k in order],
        "modules": {name: [_round(own.get(k, 0.0)) for k in order] for name, own in modules.items()},
    }


def _round(squared: float) -> float:
    return float(f"{math.sqrt(squared):.5g}")


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable CSV ({error}): delete it and run again.") from None


def _thin(curve: pd.DataFrame) -> dict[str, list[float | None]]:
    """Thin a learning curve out to POINTS steps, the last one among them."""
    step = max(1, math.ceil(len(curve) / POINTS))
    kept = curve.iloc[sorted({*range(0, len(curve), step), len(curve) - 1})] if len(curve) else curve
    numbers = kept.select_dtypes("number")
    return {str(name): [None if pd.isna(v) else float(v) for v in column] for name, column in numbers.items()}
