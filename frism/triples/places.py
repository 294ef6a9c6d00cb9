"""Place the stored tensors of a checkpoint in its class, by transformers' own conversions and loader."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import nn
from transformers import conversion_mapping, core_model_loading, modeling_utils

from frism.triples.architectures import EMBEDDING, HEAD
from frism.triples.layout import DerivationError, Place
from frism.triples.model_classes import Decoder

# Other modalities are told by what transformers calls their parts.
_AUDIO = re.compile(r"audio|speech|sound")
_ROUTERS = ("gate", "router")


def place_tensors(model: Any, tower: Decoder, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Place]:
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
    tower: Decoder,
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


def _classify(model: Any, tower: Decoder) -> dict[str, str]:
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
