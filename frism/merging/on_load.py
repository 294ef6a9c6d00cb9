"""Merge without writing a checkpoint: stream the tensors, or fill a loaded VLM's language tower.

`spectra` is the folder that `frism spectrum` writes; without it, singular directions are computed when a
method needs them. Where `fitted` is None, a method that fits on the three checkpoints alone is fitted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frism.compute import Compute
from frism.errors import UserError
from frism.merging.pieces import Merger, Piece, Result, combine_norms, run_tasks
from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.fitting import ABSENT, Fitting
from frism.method.recipe import Recipe
from frism.triples.derived_tower import DerivedTower
from frism.triples.triple import WIDEST_SCOPE, Triple

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Device = str | torch.device


def merge(
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted | None = None,
    device: Device = "cpu",
    spectra: Path | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """Yield (canonical name, merged tensor in fp32) for every tensor in the recipe's scope, one at a time.

    Raises UserError when the recipe was made for other checkpoints, the method must be fitted in a study, or
    a tensor or the method's result is not finite.
    """
    import torch

    with _open_merger(triple, recipe, fitted, device, spectra) as merger:
        for name in merger.names:
            merged = torch.empty(triple.header("vlm", name).shape, device=device)
            _fill(merger, {name: merged})
            yield name, merged


def measure_injected_norms(
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted | None = None,
    device: Device = "cpu",
    spectra: Path | None = None,
) -> dict[str, float]:
    """Measure the Frobenius norm of (merged - V) of every tensor in scope, before the model's cast.

    Empty for a variant that is no merge: a checkpoint, which may have other tensors than V, or a mixture of
    V's and R's predictions.
    """
    if recipe.checkpoint is not None or recipe.mixes:
        return {}
    with _open_merger(triple, recipe, fitted, device, spectra) as merger:
        return _fill(merger, dict.fromkeys(merger.names))


def apply(
    model: nn.Module,
    triple: Triple,
    recipe: Recipe | None,
    fitted: Fitted | None = None,
    spectra: Path | None = None,
) -> dict[str, float]:
    """Fill a loaded VLM's language tower with a variant, in place; return the injected norm per tensor.

    Every tensor that any method may touch is written: those outside the recipe's scope get V's values, so
    that switching from one variant to another leaves no trace of the first. Nothing else in the model
    changes. `recipe=None` restores V. Every parameter keeps its dtype and device; merging runs in fp32 on
    that device. Raises UserError when the model is not V's, or a parameter is offloaded.
    """
    import torch

    names = triple.tower_names(triple.widest_scope)
    converted = [name for name in names if triple.towers["vlm"].parameter(name) is None]
    parameters = {name: _find_parameter(model, triple, name) for name in names if name not in set(converted)}
    norms: dict[str, float] = {}
    with torch.no_grad():
        if recipe is not None:
            direct = [name for name in triple.names(recipe.scope) if name in parameters]
            for device in dict.fromkeys(parameters[name].device for name in direct):
                on_device = [name for name in direct if parameters[name].device == device]
                with _open_merger(triple, recipe, fitted, device, spectra) as merger:
                    norms |= _fill(merger, {name: parameters[name].data for name in on_device})
        untouched = [name for name in parameters if name not in norms]
        for device in dict.fromkeys(parameters[name].device for name in untouched):
            on_device = [name for name in untouched if parameters[name].device == device]
            with Merger(triple, find("vlm"), {}, scope=triple.widest_scope, device=device) as merger:
                _fill(merger, {name: parameters[name].data for name in on_device})
        if converted:
            norms |= _fill_converted(model, triple, recipe, fitted, spectra, converted)
    return {name: norms[name] for name in triple.names(recipe.scope)} if recipe is not None else {}


def _fill_converted(
    model: nn.Module,
    triple: Triple,
    recipe: Recipe | None,
    fitted: Fitted | None,
    spectra: Path | None,
    names: Sequence[str],
) -> dict[str, float]:
    """Fill the parameters that transformers makes of several stored tensors, one parameter at a time."""
    import torch

    from frism.merging.conversions import Conversions

    tower = triple.towers["vlm"]
    assert isinstance(tower, DerivedTower)
    conversions = Conversions(model, triple.checkpoints["vlm"].tensors)
    touched = set(triple.names(recipe.scope)) if recipe is not None else set()
    norms: dict[str, float] = {}
    for target in dict.fromkeys(tower.target(name) for name in names):
        sources = [name for name in tower.names if tower.target(name) == target]
        merged = [name for name in sources if name in touched]
        tensors = {name: tower.read(name).float() for name in sources if name not in touched}
        tensors |= {name: torch.empty(triple.header("vlm", name).shape) for name in merged}
        if merged:
            assert recipe is not None
            with _open_merger(triple, recipe, fitted, "cpu", spectra) as merger:
                norms |= _fill(merger, {name: tensors[name] for name in merged})
        stored: dict[str, list[Tensor]] = {}
        for name in sources:  # the matrices of a stack in their order
            stored.setdefault(tower.stored(name), []).append(tensors[name])
        whole = {
            name: torch.cat(parts).reshape(triple.checkpoints["vlm"].header(name).shape)
            for name, parts in stored.items()
        }
        for path, value in conversions.convert(whole).items():
            _get_parameter(model, triple, path, tuple(value.shape)).data.copy_(value)
    return norms


def load(
    triple: Triple,
    recipe: Recipe | None,
    fitted: Fitted | None = None,
    dtype: torch.dtype | str | None = None,
    device: Device = "cpu",
    device_map: str | Mapping[str, Any] | None = None,
    spectra: Path | None = None,
) -> Any:
    """Load V with transformers, fill in the variant (None: V itself) and return the model in eval mode.

    A variant that is a checkpoint is loaded as it is.

    V's files are read once, and no second copy of the model is made: merged tensors are written into the
    parameters, wherever they are.

    Args:
        dtype: of all parameters (default fp32); "auto" is what V's config says.
        device_map: how transformers spreads the model over devices ("auto", or a dict); then `device` is not
            used. A part that it offloads to the disk, or to the CPU for want of GPU memory, cannot be filled.

    Raises UserError when the checkpoint does not fill the model exactly.
    """
    import torch

    auto, folder = _choose_class(triple), find_folder(triple, recipe)
    if recipe is not None and recipe.checkpoint is not None:
        recipe.check(triple, fitted)
        recipe = None
    placement: dict[str, Any] = {} if device_map is None else {"device_map": device_map}
    loaded: Any = auto.from_pretrained(
        folder, dtype=dtype or torch.float32, output_loading_info=True, trust_remote_code=False, **placement
    )
    model, info = loaded
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            example = sorted(map(str, info[problem]))[0]
            raise UserError(f"{folder} does not fill its model ({problem}: {example}): download it again.")
    if device_map is None:
        model = model.to(device)
    model = model.eval()
    if recipe is not None:
        apply(model, triple, recipe, fitted, spectra)
    return model


def load_language_model(triple: Triple, role: str, device: Device = "cpu", **how: Any) -> Any:
    """Load B or R (`role` "base" or "lrm") with transformers, in eval mode.

    Args:
        how: `dtype` and `device_map`, as `load` takes them; with the latter, `device` is not used.

    Raises UserError for a donor made of several where B's class makes a parameter of several stored tensors.
    """
    from transformers import AutoModelForCausalLM

    if role == "lrm" and triple.lrm_is_made:
        model: Any = _load_made_donor(triple, **how)
    else:
        folder = triple.base_folder if role == "base" else triple.lrm_folder
        model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, **how)
    return (model if how.get("device_map") else model.to(device)).eval()


def _load_made_donor(triple: Triple, **how: Any) -> Any:
    """Load R where no folder holds it: B's text model with R's layers and final norm.

    Raises UserError when B's class makes a parameter of several stored tensors.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(triple.base_folder, trust_remote_code=False, **how)
    tower = triple.towers["base"]
    with torch.no_grad():
        for name in triple.names(WIDEST_SCOPE):
            path, region = tower.parameter(name), tower.region(name)
            if path is None:
                raise UserError(
                    f"{triple.base_folder} (base): {name} is no parameter of the loaded model: drop"
                    " the text tasks."
                )
            whole = model.get_parameter(path)
            (whole if region is None else region.cut(whole)).copy_(triple.read("lrm", name))
    return model


def outline(triple: Triple, recipe: Recipe | None, dtype: torch.dtype | str | None = None) -> Any:
    """Build the model that `load` gives as far as configs tell: its parameters have no values.

    They lie on the device "meta"; config, generation config, attention and dtype are those of the loaded one.
    """
    import torch
    from transformers import AutoConfig, GenerationConfig

    folder = find_folder(triple, recipe)
    with torch.device("meta"):
        model: Any = _choose_class(triple).from_config(
            AutoConfig.from_pretrained(folder, trust_remote_code=False), dtype=dtype or torch.float32
        )
    with suppress(OSError):  # a checkpoint need not have one; then its config tells
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model


def find_folder(triple: Triple, recipe: Recipe | None) -> Path:
    """Find the folder with a variant's config, tokenizer and processor: V's, or the checkpoint's own."""
    return Path(recipe.checkpoint.folder) if recipe and recipe.checkpoint else triple.vlm_folder


def _choose_class(triple: Triple) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForCausalLM if triple.text_receiver else AutoModelForImageTextToText


def _open_merger(
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted | None,
    device: Device,
    folder: Path | None,
) -> Merger:
    """Open the merger of a recipe, fitting its method first where nothing was fitted."""
    recipe.check(triple, fitted)
    if recipe.method is None:
        raise UserError(f"variant {recipe.name} is a checkpoint, not a merge: use `load`.")
    method = find(recipe.method)
    method.refuse_unless_merging()
    params = method.validate(recipe.params)
    spectra = None
    if recipe.spectrum is not None:
        from frism.spectra.spectra import Spectra

        spectra = Spectra(triple, recipe.spectrum, folder)
    if fitted is None and method.fit is not None:
        fitting = Fitting(triple, recipe.scope, recipe.seed, Compute(str(device)), spectra or ABSENT)
        fitted = method.fit_from_weights(fitting, params)
    return Merger(
        triple, method, params,
        scope=recipe.scope, seed=recipe.seed, fitted=fitted, spectra=spectra, device=device,
    )  # fmt: skip


def _fill(merger: Merger, targets: Mapping[str, Tensor | None]) -> dict[str, float]:
    """Merge tensors into `targets` (any dtype, the merger's device); return each one's injected norm."""
    norms: dict[str, dict[int, float]] = {name: {} for name in targets}

    def fill_piece(piece: Piece, result: Result) -> None:
        target = targets[piece.name]
        if target is not None:
            target.view(-1)[piece.first : piece.last].copy_(result.merged.reshape(-1))
        norms[piece.name][piece.index] = result.injected

    run_tasks((task for name in targets for task in merger.make_tasks(name, fill_piece)), merger)
    return {name: combine_norms([parts[i] for i in sorted(parts)]) for name, parts in norms.items()}


def _find_parameter(model: nn.Module, triple: Triple, name: str) -> Tensor:
    """Find a tensor's parameter in a loaded model, or its part of one that is a stack.

    Raises UserError when it cannot be filled.
    """
    tower = triple.towers["vlm"]
    path, region = triple.parameter_name(name), tower.region(name)
    whole = _get_parameter(model, triple, path, triple.checkpoints["vlm"].header(tower.stored(name)).shape)
    return whole if region is None else region.cut(whole)


def _get_parameter(model: nn.Module, triple: Triple, path: str, shape: tuple[int, ...]) -> nn.Parameter:
    try:
        parameter = model.get_parameter(path)
    except AttributeError as error:
        raise UserError(
            f"the loaded {type(model).__name__} has no parameter {path}: load {triple.vlm_folder} itself."
        ) from error
    if tuple(parameter.shape) != shape:
        raise UserError(
            f"the loaded model's {path} has shape {list(parameter.shape)}, not {list(shape)}: "
            f"load {triple.vlm_folder} itself."
        )
    if parameter.device.type == "meta":
        raise UserError(
            f"the loaded model's {path} is offloaded: choose a device_map that keeps it on a device."
        )
    return parameter
