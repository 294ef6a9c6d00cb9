"""Merged variants without merged checkpoints: stream the tensors, or fill a loaded VLM's language tower."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from frism.errors import UserError
from frism.methods import find
from frism.recipes import Recipe
from frism.triples import WIDEST_SCOPE, Triple


def merged(
    triple: Triple,
    recipe: Recipe,
    fitted: Mapping[str, Tensor] | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[str, Tensor]]:
    """Yield (canonical name, merged tensor in fp32) for every tensor in the recipe's scope, one at a time.

    Raises UserError when the recipe was made for other checkpoints, or a tensor or the method's result is
    bad.
    """
    for name, tensor, _ in _with_original(triple, recipe, fitted, device):
        yield name, tensor


def injected_norms(
    triple: Triple,
    recipe: Recipe,
    fitted: Mapping[str, Tensor] | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Return the Frobenius norm of (merged - V) of every tensor in scope, before the model's cast."""
    return {
        name: _norm(tensor - original)
        for name, tensor, original in _with_original(triple, recipe, fitted, device)
    }


def apply(
    model: nn.Module, triple: Triple, recipe: Recipe | None, fitted: Mapping[str, Tensor] | None = None
) -> dict[str, float]:
    """Fill a loaded VLM's language tower with a variant, in place; return the injected norm per tensor.

    Every tensor that any method may touch is written: those outside the recipe's scope get V's values, so
    that switching from one variant to another leaves no trace of the first. Nothing else in the model
    changes. `recipe=None` restores V. The model keeps its dtype and device; merging runs in fp32 on that
    device.
    """
    tower = _tower(model, triple)
    untouched = dict.fromkeys(triple.tower_names(WIDEST_SCOPE))
    norms: dict[str, float] = {}
    device = next(tower.parameters()).device
    with torch.no_grad():
        if recipe is not None:
            for name, tensor, original in _with_original(triple, recipe, fitted, device):
                _parameter(tower, triple, name).copy_(tensor)
                norms[name] = _norm(tensor - original)
                del untouched[name]
        for name in untouched:
            _parameter(tower, triple, name).copy_(triple.read("vlm", name, device))
    return norms


def load(
    triple: Triple,
    recipe: Recipe | None,
    fitted: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Any:
    """Load V with transformers, fill in the variant (None: V itself) and return the model in eval mode.

    Raises UserError when the checkpoint does not fill the model exactly.
    """
    from transformers import AutoModelForImageTextToText

    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        triple.vlm_folder, dtype=dtype, output_loading_info=True
    )
    model, info = loaded
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            example = sorted(map(str, info[problem]))[0]
            raise UserError(
                f"{triple.vlm_folder} does not fill its model ({problem}: {example}): download it again."
            )
    model = model.to(device).eval()
    if recipe is not None:
        apply(model, triple, recipe, fitted)
    return model


def _with_original(
    triple: Triple, recipe: Recipe, fitted: Mapping[str, Tensor] | None, device: str | torch.device
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield (name, merged tensor, V's tensor)."""
    for role, digest in triple.digest.items():
        if recipe.triple.get(role) != digest:
            folder = triple.checkpoints[role].folder
            raise UserError(f"the recipe was made for another {role} than {folder}: make the variant again.")
    if bool(fitted) != (recipe.coefficients is not None):
        raise UserError(
            f"method {recipe.method}: the recipe and its fitted coefficients do not belong together."
        )
    method = find(recipe.method)
    params = method.validate(recipe.params)
    coefficients = _by_tensor(fitted or {}, device)
    for name in triple.names(recipe.scope):
        original = triple.read("vlm", name, device)
        tensors = {r: original if r == "vlm" else triple.read(r, name, device) for r in method.sources}
        result = method.run_merge(
            tensors, params, name=name, layer=triple.layer(name), layers=triple.layers, seed=recipe.seed,
            fitted=coefficients.get(name, {}),
        )  # fmt: skip
        yield name, result, original


def _by_tensor(fitted: Mapping[str, Tensor], device: str | torch.device) -> dict[str, dict[str, Tensor]]:
    """Group "<tensor>/<part>" by tensor; the bare "<tensor>" is its "value"."""
    grouped: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in fitted.items():
        name, _, part = key.partition("/")
        grouped[name][part or "value"] = tensor.to(device)
    return grouped


def _tower(model: nn.Module, triple: Triple) -> nn.Module:
    try:
        return model.get_submodule(triple.tower_module)
    except AttributeError as error:
        raise UserError(
            f"{type(model).__name__} has no {triple.tower_module}: load {triple.vlm_folder} itself."
        ) from error


def _parameter(tower: nn.Module, triple: Triple, name: str) -> nn.Parameter:
    try:
        parameter = tower.get_parameter(name)
    except AttributeError as error:
        raise UserError(f"the loaded model has no {name}: load {triple.vlm_folder} itself.") from error
    shape = triple.header("vlm", name).shape
    if tuple(parameter.shape) != shape:
        raise UserError(f"the loaded model's {name} has shape {list(parameter.shape)}, not {list(shape)}.")
    return parameter


def _norm(delta: Tensor) -> float:
    return float(torch.linalg.vector_norm(delta))
