"""What the methods give on toy tensors, beside formulas written again in numpy and float64."""

import numpy as np
import torch

from frism.method import discovery
from frism.method.site import Site

LAYERS = 6


def draw(seed: int, shape: tuple[int, ...], equal: bool = False) -> list[np.ndarray]:
    """B, V, R; `equal` puts them on a grid, where task vectors have many entries of one size."""
    generator = np.random.default_rng(seed)
    base = generator.normal(size=shape)
    models = [base, *(base + 0.1 * generator.normal(size=shape) for _ in range(2))]
    grid = 16.0 if equal else 2.0**20
    return [(np.round(model * grid) / grid).astype(np.float32).astype(np.float64) for model in models]


def ours(method: str, models: list[np.ndarray], layer: int | None = 0, **params: object) -> np.ndarray:
    """The method's result, seed 0, as float64."""
    found = discovery.find(method)
    stored = (torch.tensor(model, dtype=torch.float32) for model in models)
    tensors = dict(zip(("base", "vlm", "lrm"), stored, strict=True))
    site = Site.of(*tensors.values(), name="x", layer=layer, layers=LAYERS)
    merged = found.run_merge(site, found.validate(params))
    return merged.double().numpy()


def close(result: np.ndarray, expected: np.ndarray, models: list[np.ndarray], scale: float = 1.0) -> None:
    """Equal to some units in the last place of fp32 of the largest term."""
    bound = 16 * 2.0**-24 * scale * sum(np.abs(model) for model in models)
    assert (np.abs(result - expected) <= bound).all()
