"""Derive from transformers how a checkpoint's tensors lie in its model, where no table says it.

The model's class is built from the config without values (device "meta"); `get_decoder()` names its language
model, transformers' own conversions rename the stored tensors, and its own loader says what is missing,
unexpected or misshapen. Nothing is matched by suffix or shape, and what stays open is an error.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import conversion_mapping, core_model_loading, initialization, modeling_utils
from transformers.models.auto import modeling_auto

from frism.triples.architectures import EMBEDDING, HEAD
from frism.triples.layout import DerivationError, Layout, Place

# Other modalities are told by what transformers calls their parts.
_AUDIO = re.compile(r"audio|speech|sound")
_ROUTERS = ("gate", "router")
# Of the decoder's config, what `frism.triples.facts` compares.
_SETTINGS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size", "hidden_act", "hidden_activation", "rope_parameters", "max_position_embeddings",
    "tie_word_embeddings",
)  # fmt: skip
_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "norm_eps", "layernorm_epsilon", "layer_norm_epsilon")


@dataclass(frozen=True)
class _Tower:
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


def derive(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Return the layout of a checkpoint: its config is in `folder`, its stored tensors have these shapes.

    Raises DerivationError when transformers does not know the type, its classes leave open what the language
    model is, or the stored tensors do not fill the class exactly.
    """
    with _quiet():
        model = build_model(folder)
        tower = _find_tower(model)
        places = _place(model, tower, shapes)
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


@contextmanager
def _quiet() -> Iterator[None]:
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
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        unknown = str(error).startswith(("The checkpoint you are trying to load", "Unrecognized model"))
        clause = f"transformers {transformers.__version__} cannot read its config.json ({_first(error)})"
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
        raise DerivationError(f"its class {kind.__name__} needs another package ({_first(error)})") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError) as error:
        raise DerivationError(f"transformers makes no {kind.__name__} of it ({_first(error)})") from error
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
    kind = getattr(models, name, None)
    is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    return kind if is_model and kind.config_class is config else None


def _find_tower(model: Any) -> _Tower:
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
    return _Tower(path, _find_layers(decoder, config, kind), _find_weight(paths, head), name)


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
    lists = [
        path for path, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
        and not re.search(r"\.\d+\.", f".{path}.")
    ]  # fmt: skip
    named = [path for path in lists if path.rpartition(".")[2] == "layers"]
    found = named if len(named) == 1 else lists
    if len(found) != 1:
        listed = f" ({', '.join(found)})" if found else ""
        raise DerivationError(
            f"the language model of its class {kind} has {len(found)} lists of {count} layers{listed}"
        )
    return found[0]


def _place(model: Any, tower: _Tower, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Place]:
    """Return where each stored tensor goes; refuse what does not fill the model exactly."""
    state = model.state_dict()
    transforms = conversion_mapping.get_model_conversion_mapping(model)
    renamings = [one for one in transforms if isinstance(one, core_model_loading.WeightRenaming)]
    converters = [one for one in transforms if isinstance(one, core_model_loading.WeightConverter)]
    by_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
    prefix, kinds = model.base_model_prefix, _classify(model, tower)
    places: dict[str, Place] = {}
    converted: dict[str, tuple[Any, str, str]] = {}
    for stored in sorted(shapes, key=core_model_loading.dot_natural_key):
        loaded, pattern = core_model_loading.rename_source_key(stored, renamings, converters, prefix, state)
        if loaded not in state and stored in state:  # as the loader itself goes on
            loaded, pattern = core_model_loading.rename_source_key(stored, [], [], prefix, state)
        if loaded not in state:
            places[stored] = Place("unread", None, None, "not read by the model")
        elif pattern is None or _is_identity(by_pattern[pattern], shapes[stored], state[loaded]):
            places[stored] = _describe(tower, loaded, loaded, kinds)
        else:
            converted[stored] = by_pattern[pattern], pattern, loaded
    slots = _find_slots(converted, shapes)
    for stored, (_, _, target) in converted.items():
        plain = core_model_loading.apply_renamings(stored, renamings)
        if target.startswith(f"{prefix}.") and not plain.startswith(f"{prefix}."):
            plain = f"{prefix}.{plain}"
        places[stored] = _describe(tower, plain, None, kinds, target, slots.get(stored))
    _check_complete(model, shapes, places)
    _check_ambiguous(places)
    return {stored: places[stored] for stored in shapes}


def _is_identity(converter: Any, shape: tuple[int, ...], parameter: torch.Tensor) -> bool:
    """Whether a conversion leaves a tensor alone: a transposition of what has the right shape already."""
    checked = all(
        isinstance(op, core_model_loading.Transpose) and op.check_dims for op in converter.operations
    )
    return checked and tuple(shape) == tuple(parameter.shape)


def _find_slots(
    sources: Mapping[str, tuple[Any, str, str]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, int, int]]:
    """Return (matrix, first row, last row) of stored tensors in the parameter that a conversion fills.

    Known where it stacks matrices, joins rows, or both; the matrix is -1 where the parameter is no stack.
    `sources`: by stored name its conversion, its pattern there and the parameter, in the loader's order.
    """
    stack, joined = (core_model_loading.MergeModulelist, 0), (core_model_loading.Concatenate, 0)
    stacked_joined = (core_model_loading.Concatenate, 1)
    counts: Counter[tuple[str, str]] = Counter()
    slots: dict[str, tuple[int, int, int]] = {}
    filled: Counter[tuple[str, int]] = Counter()
    order = sorted(sources, key=lambda stored: sources[stored][0].source_patterns.index(sources[stored][1]))
    for stored in order:  # rows follow the patterns' order, matrices the loader's
        converter, pattern, target = sources[stored]
        kinds = [(type(op), getattr(op, "dim", None)) for op in converter.operations]
        if kinds not in ([stack], [stack, stacked_joined], [joined]):
            continue
        matrix = -1 if kinds == [joined] else counts[target, pattern]
        counts[target, pattern] += 1
        first = filled[target, matrix]
        filled[target, matrix] += shapes[stored][0]
        slots[stored] = (matrix, first, filled[target, matrix])
    return slots


def _describe(
    tower: _Tower,
    path: str,
    parameter: str | None,
    kinds: Mapping[str, str],
    target: str | None = None,
    slot: tuple[int, int, int] | None = None,
) -> Place:
    """Describe one stored tensor; `path`: its name as the model has it, or would without conversions."""
    where = target or path
    if where == tower.head:
        return Place("language model", HEAD, parameter, "output head")
    if not tower.holds(where):
        return Place("outside", None, parameter, kinds[where])
    if not tower.holds(path):  # a conversion moves it into the tower: its name there is unknown
        return Place("language model", None, None, "converted when it is loaded")
    if where == tower.embedding:
        return Place("language model", EMBEDDING if parameter else tower.name(path), parameter, "embedding")
    if target is None:
        return Place("language model", tower.name(path), parameter, kinds[where])
    return Place(
        "language model", tower.name(path), None, kinds[where], target, slot and (tower.name(target), *slot)
    )


def _classify(model: Any, tower: _Tower) -> dict[str, str]:
    """Return the kind of every parameter and buffer: of a layer's by the module that owns it."""
    modules, kinds = dict(model.named_modules()), {}
    for name, value in model.state_dict(keep_vars=True).items():
        owner, _, leaf = name.rpartition(".")
        if not tower.holds(name):
            kinds[name] = _name_part(model, name)
        elif tower.name(name).startswith("layers."):
            kinds[name] = _classify_in_layer(modules, owner, leaf, value)
        else:
            norm = _is_norm(modules[owner]) and leaf == "weight"
            kinds[name] = "norm" if norm else "part outside the layers"
    return kinds


def _classify_in_layer(modules: Mapping[str, nn.Module], owner: str, leaf: str, value: torch.Tensor) -> str:
    module, (parent, _, own) = modules[owner], owner.rpartition(".")
    if not isinstance(value, nn.Parameter):
        return "buffer of a layer"
    siblings = dict(modules[parent].named_children()) if parent in modules else {}
    if re.search(r"(^|\.)experts(\.|$)", owner):
        return "matrix" if value.ndim > 1 and "bias" not in leaf else "bias"
    if "experts" in siblings and (own in _ROUTERS or own.endswith("_gate")):
        return "router"
    if _is_norm(module):
        return "norm" if leaf == "weight" and value.ndim == 1 else "other tensor of a layer"
    if isinstance(module, nn.Linear):
        return {"weight": "matrix", "bias": "bias"}.get(leaf, "other tensor of a layer")
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return "convolution"
    return "other tensor of a layer"


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _name_part(model: Any, name: str) -> str:
    """Return "vision tower", "audio tower" or "projector" for a parameter outside the language model.

    A tower is a model of its own in transformers' classes; what is none connects them.
    """
    module, path = model, []
    for step in name.split(".")[:-1]:
        module = getattr(module, step)
        path.append(step)
        if len(path) > 1 or step != model.base_model_prefix:
            break
    if _AUDIO.search(path[-1] if path else name):
        return "audio tower"
    tower = any(isinstance(part, transformers.PreTrainedModel) for part in module.modules())
    return "vision tower" if tower and module is not model else "projector"


def _check_complete(model: Any, shapes: Mapping[str, tuple[int, ...]], places: Mapping[str, Place]) -> None:
    """Let transformers' loader fill the model with tensors without values; refuse what it complains of."""
    kind = type(model).__name__
    stored = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    how = modeling_utils.LoadStateDictConfig(
        weight_mapping=conversion_mapping.get_model_conversion_mapping(model), device_map={"": "meta"}
    )
    info, _ = core_model_loading.convert_and_load_state_dict_in_model(model, stored, how)
    model._adjust_missing_and_unexpected_keys(info)
    if info.mismatched_keys:
        name, found, expected = min(info.mismatched_keys)
        raise DerivationError(
            f"{name} of its class {kind} has shape {list(expected)}, but {list(found)} is stored"
        )
    if info.unexpected_keys:
        raise DerivationError(f"its class {kind} has no place for {min(info.unexpected_keys)}")
    missing = set(info.missing_keys)
    for one, other in model.all_tied_weights_keys.items():
        if {one, other} - missing:
            missing -= {one, other}
    missing -= {name for name, _ in model.named_non_persistent_buffers()}
    if missing:
        raise DerivationError(
            f"{min(missing)} of its class {kind} is not stored ({len(missing)} missing in all)"
        )
    if info.conversion_errors:
        raise DerivationError(
            f"transformers cannot convert {min(info.conversion_errors)} for its class {kind}"
        )


def _check_ambiguous(places: Mapping[str, Place]) -> None:
    seen: dict[str, str] = {}
    for stored, place in places.items():
        if place.name is not None and seen.setdefault(place.name, stored) != stored:
            raise DerivationError(f"{stored} and {seen[place.name]} are stored for the same {place.name}")


def _read_settings(decoder: Any, tower: _Tower) -> dict[str, Any]:
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


def _has_shifted_norm(decoder: nn.Module, tower: _Tower) -> bool:
    """Whether the first layer's RMSNorm multiplies by 1 + w, so that its class starts at zeros."""
    for module in decoder.get_submodule(tower.layers)[0].modules():
        if "RMSNorm" in type(module).__name__:
            try:
                return not bool(type(module)(2).weight.any())  # type: ignore[operator]
            except (TypeError, ValueError, AttributeError):
                return False
    return False


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
