"""Derive from transformers how a checkpoint's tensors lie in its model, where no table says it.

The model's class is built from the config without values (device "meta"); `get_decoder()` names its language
model, transformers' own conversions rename the stored tensors, and its own loader says what is missing,
unexpected or misshapen. Nothing is matched by suffix or shape, and what stays open is an error.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from frism.triples.layout import Layout
from frism.triples.model_classes import Decoder, build_model, find_decoder, quiet
from frism.triples.places import place_tensors

# Of the decoder's config, what `frism.triples.facts` compares.
_SETTINGS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size", "hidden_act", "hidden_activation", "rope_parameters", "max_position_embeddings",
    "tie_word_embeddings",
)  # fmt: skip  # fmt: skip
_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "norm_eps", "layernorm_epsilon", "layer_norm_epsilon")


def derive(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Return the layout of a checkpoint: its config is in `folder`, its stored tensors have these shapes.

    Raises DerivationError when transformers does not know the type, its classes leave open what the language
    model is, or the stored tensors do not fill the class exactly.
    """
    with quiet():
        model = build_model(folder)
        tower = find_decoder(model)
        places = place_tensors(model, tower, shapes)
    decoder = model.get_submodule(tower.path)
    outside = any(place.part not in ("language model", "unread") for place in places.values())
    return Layout(
        model_class=type(model).__name__,
        is_vlm=outside,
        text_type=str(decoder.config.model_type),
        module=tower.path,
        text_config=_read_settings(decoder, tower),
        places=places,
    )


def _read_settings(decoder: Any, tower: Decoder) -> dict[str, Any]:
    """Return what is compared between checkpoints, with the class's defaults filled in."""
    config = decoder.config
    settings = {key: _get(config, key) for key in _SETTINGS}
    epsilons = (_get(config, key) for key in _EPSILONS)
    settings["rms_norm_eps"] = next((value for value in epsilons if isinstance(value, float)), None)
    settings["shifted_norm"] = _has_shifted_norm(decoder, tower)
    return settings


def _get(config: Any, key: str) -> Any:
    """Return a setting; None where there is none, or another one in every layer."""
    try:
        return getattr(config, key, None)
    except Exception as error:
        if "per-layer" not in str(error):
            raise
        return None


def _has_shifted_norm(decoder: nn.Module, tower: Decoder) -> bool:
    """Whether the first layer's RMSNorm multiplies by 1 + w, so that its class starts at zeros."""
    layers: Any = decoder.get_submodule(tower.layers)
    for module in layers[0].modules():
        if "RMSNorm" in type(module).__name__:
            kind: Any = type(module)
            try:
                return not bool(kind(2).weight.any())
            except (TypeError, ValueError, AttributeError):
                return False
    return False
