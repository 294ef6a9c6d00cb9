"""Load the VLM: frozen weights, its processor, its language tower and the layer behind every matrix."""

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
    """Hold V, ready to answer and to be merged into; nothing of it learns.

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
            raise UserError(
                f"{triple.vlm_folder} is a text model, but gates are learned on pictures: use a VLM."
            )
        model = on_load.load(
            triple, None, dtype=compute.torch_dtype, device=compute.torch_device,
            device_map=compute.device_map,
        ).requires_grad_(False)  # fmt: skip
        for name, parameter in model.named_parameters():
            if parameter.device.type == "meta":
                raise UserError(f"{name} does not fit on the devices: choose a device_map that holds it.")
        return cls.wrap(
            triple, model, AutoProcessor.from_pretrained(triple.vlm_folder, trust_remote_code=False)
        )

    @classmethod
    def wrap(cls, triple: Triple, model: Any, processor: Any) -> Self:
        """Wrap a loaded model and its processor."""
        for name in triple.names("mat"):
            tower = triple.towers["vlm"]
            if tower.region(name) is not None or tower.parameter(name) is None:
                raise UserError(
                    f"{triple.vlm_folder} (vlm): {name} is no layer of the loaded model but part of a stack, "
                    "on which no gates are learned: choose a method without calibration, such as inject."
                )
        paths = {name: triple.parameter_name(name).removesuffix(".weight") for name in triple.names("mat")}
        return cls(
            model,
            processor,
            model.get_submodule(triple.towers["vlm"].module),
            {name: model.get_submodule(path) for name, path in paths.items()},
        )

    @property
    def device(self) -> torch.device:
        """Return where inputs go: the first device of a model that is spread over several."""
        device: torch.device = self.model.device
        return device

    @property
    def layers(self) -> nn.ModuleList:
        """Return the decoder layers, V's own cross-attention layers among them."""
        layers = self.tower.layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of last hidden states (n, width): (n, vocabulary), fp32 (or float64)."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)
