"""The VLM in memory: frozen weights, its processor, its language tower and the layer behind every matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from frism.compute import Compute
from frism.errors import UserError
from frism.triples.triple import Triple


@dataclass(frozen=True)
class Receiver:
    """V, ready to answer and to be merged into; nothing of it learns.

    Attributes:
        model: in eval mode, without gradients. processor: its own.
        tower: the text model inside, from embedded tokens to the last hidden states.
        modules: the linear layer of every matrix in scope "mat", by canonical tensor name.
    """

    model: Any
    processor: Any
    tower: nn.Module
    modules: Mapping[str, nn.Linear]

    @classmethod
    def load(cls, triple: Triple, compute: Compute) -> Self:
        """Load V where `compute` says.

        Raises UserError when V is a text model, its files do not fill it, or a part of it is offloaded.
        """
        from transformers import AutoProcessor

        from frism.merging import on_load

        if triple.text_receiver:
            raise UserError(f"{triple.vlm_folder} is a text model: gates are learned on pictures, use a VLM.")
        model = on_load.load(
            triple, None, dtype=compute.torch_dtype, device=compute.torch_device,
            device_map=compute.device_map,
        ).requires_grad_(False)  # fmt: skip
        for name, parameter in model.named_parameters():
            if parameter.device.type == "meta":
                raise UserError(f"{name} does not fit on the devices: choose a device_map that holds it.")
        return cls.wrap(triple, model, AutoProcessor.from_pretrained(triple.vlm_folder))

    @classmethod
    def wrap(cls, triple: Triple, model: Any, processor: Any) -> Self:
        """Take a loaded model and its processor."""
        places = {name: triple.parameter_name(name).removesuffix(".weight") for name in triple.names("mat")}
        return cls(
            model,
            processor,
            model.get_submodule(triple.towers["vlm"].architecture.module),
            {name: model.get_submodule(place) for name, place in places.items()},
        )

    @property
    def device(self) -> torch.device:
        """Where inputs go: the first device of a model that is spread over several."""
        found: torch.device = self.model.device
        return found

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers, V's own cross-attention layers among them."""
        found = self.tower.layers
        assert isinstance(found, nn.ModuleList)
        return found

    def logits(self, hidden: Tensor) -> Tensor:
        """What V's head makes of last hidden states (n, width): (n, vocabulary), fp32 (or float64)."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)
