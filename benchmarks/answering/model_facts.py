"""Tell what of a local model, beside its weights, decides which answers come out, before it is loaded."""

from dataclasses import dataclass
from typing import Any, Self

import torch

from benchmarks.study.engine_settings import EngineSettings
from frism.merging import on_load
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


@dataclass(frozen=True)
class ModelFacts:
    """Holds what a fingerprint says of a model.

    Attributes:
        model_type: of its config. dtype: of its weights, as torch writes it.
        device: the name of the GPU that it lies on, or the kind of device.
        attention: the implementation that transformers chose.
        ends: ids of the tokens that end an answer; empty where only the tokenizer says so.
    """

    model_type: str
    dtype: str
    device: str
    attention: str | None
    ends: frozenset[int]

    @classmethod
    def of(cls, model: Any, device: torch.device | None = None) -> Self:
        """Read them off a model, which lies on `device` (default: where its weights are)."""
        device = device or model.device
        ends = model.generation_config.eos_token_id
        return cls(
            model.config.model_type,
            str(model.dtype),
            torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            model.config._attn_implementation,
            frozenset([ends] if isinstance(ends, int) else ends or []),
        )

    @classmethod
    def foresee(cls, triple: Triple, recipe: Recipe | None, settings: EngineSettings) -> Self:
        """Tell what `on_load.load` will give, from the checkpoint's configs.

        Raises UserError where the settings name a GPU and there is none.
        """
        device = settings.torch_device
        if settings.device_map is not None:  # transformers fills GPUs first
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return cls.of(on_load.outline(triple, recipe, dtype=settings.torch_dtype), device)
