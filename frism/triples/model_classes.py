"""Build the transformers class of a checkpoint without values, and ask it for its language model."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import initialization
from transformers.models.auto import modeling_auto

from frism.errors import find_reason
from frism.triples.layout import DerivationError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings about empty models and its progress bar to itself."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def build_model(folder: Path) -> Any:
    """Build the class that a config names, without values and without running any code of the folder."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # classes check their configs in many ways
        unknown = str(error).startswith(("The checkpoint you are trying to load", "Unrecognized model"))
        clause = f"transformers {transformers.__version__} cannot read its config.json ({find_reason(error)})"
        raise DerivationError(clause, unknown=unknown) from error
    kind = _choose_class(config)
    if kind is None:
        raise DerivationError(
            f"transformers {transformers.__version__} has no class that reads pictures or text"
        )
    try:
        with torch.device("meta"), initialization.no_init_weights(), initialization.no_tie_weights():
            model = kind._from_config(config)
    except ImportError as error:
        raise DerivationError(
            f"its class {kind.__name__} needs another package ({find_reason(error)})"
        ) from error
    except Exception as error:
        raise DerivationError(
            f"transformers makes no {kind.__name__} of it ({find_reason(error)})"
        ) from error
    return model


def _choose_class(config: Any) -> Any:
    """Return the class that reads pictures, else the one that saved the checkpoint, else a text model's."""
    kind = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING.get(type(config), None)
    if kind is not None:
        return kind
    for name in config.architectures or ():
        kind = _find_class(type(config), name)
        if kind is not None:
            return kind
    for mapping in (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING, modeling_auto.MODEL_MAPPING):
        kind = mapping.get(type(config), None)
        if kind is not None:
            return kind[0] if isinstance(kind, tuple) else kind
    return None


def _find_class(config: type, name: str) -> Any:
    """Return transformers' own class of that name for a config, from the package that defines the config."""
    package, _, module = config.__module__.rpartition(".")
    try:
        models = import_module(f"{package}.{module.replace('configuration_', 'modeling_')}")
    except ImportError:
        return None
    kind: Any = getattr(models, name, None)
    is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    return kind if is_model and kind.config_class is config else None


@dataclass(frozen=True)
class Decoder:
    """Where the language model lies in the built model, by paths of modules."""

    path: str  # "" where it is the whole model
    layers: str  # of its list of layers, below `path`
    head: str | None  # parameter of the output head
    embedding: str  # parameter of the input embedding

    def holds(self, path: str) -> bool:
        """Whether a parameter of the whole model lies in the language model."""
        return not self.path or path.startswith(f"{self.path}.")

    def name(self, path: str) -> str:
        """Return the canonical name of a parameter in the language model."""
        name = path.removeprefix(f"{self.path}.") if self.path else path
        inside = name.removeprefix(f"{self.layers}.")
        return name if inside == name else f"layers.{inside}"


def find_decoder(model: Any) -> Decoder:
    """Ask the model for its language model, layers, head and embedding."""
    kind = type(model).__name__
    paths = {id(module): path for path, module in model.named_modules()}
    decoder, inner = model, model.get_decoder()
    while inner is not None and inner is not decoder:
        decoder, inner = inner, inner.get_decoder() if hasattr(inner, "get_decoder") else None
    decoder = _unwrap(decoder)
    if id(decoder) not in paths:
        raise DerivationError(f"get_decoder() of its class {kind} names no module of the model")
    path = paths[id(decoder)]
    config = getattr(decoder, "config", model.config)
    if any(getattr(one, "is_encoder_decoder", False) for one in (model.config, config)):
        raise DerivationError(
            f"its class {kind} is an encoder-decoder, whose language model no text model has"
        )
    if getattr(config, "add_cross_attention", False) or any(
        re.search(r"cross_?att|encoder_attn", name) for name, _ in decoder.named_modules()
    ):
        raise DerivationError(
            f"the language model of its class {kind} has cross-attention, which no text model has"
        )
    embedding = model.get_input_embeddings()
    name = _find_weight(paths, embedding)
    if name is None:
        raise DerivationError(f"get_input_embeddings() of its class {kind} names no module with a weight")
    head = model.get_output_embeddings()
    if any(
        isinstance(module, transformers.PreTrainedModel) and module is not decoder
        for module in decoder.modules()
    ):
        raise DerivationError(
            f"get_decoder() of its class {kind} holds other models too ({path or 'the whole'})"
        )
    return Decoder(path, _find_layers(decoder, config, kind), _find_weight(paths, head), name)


def _unwrap(decoder: nn.Module) -> nn.Module:
    """Return the model inside a wrapper that only adds a head to it, with the same config."""
    while True:
        inner = [child for child in decoder.children() if isinstance(child, transformers.PreTrainedModel)]
        if len(inner) != 1 or type(inner[0].config) is not type(getattr(decoder, "config", None)):
            return decoder
        decoder = inner[0]


def _find_weight(paths: Mapping[int, str], module: Any) -> str | None:
    if id(module) not in paths or not isinstance(getattr(module, "weight", None), torch.Tensor):
        return None
    return f"{paths[id(module)]}.weight"


def _find_layers(decoder: nn.Module, config: Any, kind: str) -> str:
    """Return the path of the list of layers: as many as the config says, not inside another list."""
    count = getattr(config, "num_hidden_layers", None)
    lists: list[str] = [
        path for path, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
        and not re.search(r"\.\d+\.", f".{path}.")
    ]  # fmt: skip
    named: list[str] = [path for path in lists if path.rpartition(".")[2] == "layers"]
    found = named if len(named) == 1 else lists
    if len(found) != 1:
        listed = f" ({', '.join(found)})" if found else ""
        raise DerivationError(
            f"the language model of its class {kind} has {len(found)} lists of {count} layers{listed}"
        )
    return found[0]
