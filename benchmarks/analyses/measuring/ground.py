"""Give an analysis what it works on: the triple's tensors, and the loaded model once it is needed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.analyses.measuring.blocks import MODULES, select
from frism.errors import UserError
from frism.triples.scopes import split_name
from frism.triples.triple import Triple


class Ground:
    """Holds a variant's model, which is loaded when it is first asked for, and the triple it was made from.

    Args:
        triple: opened in the variant's scope.
        load: gives the loaded model, whose weights are the variant's.
        calibrate: measures the mean output of modules by path, (hidden,) each, over so many calibration
            questions.
        calibration: digest of these questions.
        seed: of the study's questions.
        scratch: a folder that is free for use; None makes one in the system's.

    Attributes:
        memo: what an analysis keeps from one of its parameters' values to the next, by name.
    """

    def __init__(
        self,
        triple: Triple,
        load: Callable[[], Any],
        calibrate: Callable[[list[str], int], Mapping[str, Tensor]] | None = None,
        calibration: str = "",
        seed: int = 0,
        scratch: Path | None = None,
    ) -> None:
        self.triple, self.calibration = triple, calibration
        self.seed, self.scratch = seed, scratch
        self.memo: dict[str, Any] = {}
        self._load, self._calibrate = load, calibrate
        self._means: dict[int, Mapping[str, Tensor]] = {}

    @property
    def model(self) -> Any:
        """The loaded model."""
        return self._load()

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return self.triple.layers

    @property
    def touched(self) -> list[str]:
        """Canonical names of what the variant's method may have changed."""
        return self.triple.names(self.triple.scope)

    @property
    def tower(self) -> list[str]:
        """Canonical names of all matrices, biases and norms of the language tower."""
        return self.triple.tower_names(self.triple.widest_scope)

    def parameter(self, name: str) -> Tensor:
        """Find a tensor in the loaded model, or its part of one that is a stack.

        Raises UserError when the model's class makes the parameter of several stored tensors, has none,
        or keeps it offloaded.
        """
        tower = self.triple.towers["vlm"]
        path = tower.parameter(name)
        try:
            whole: Tensor = self.model.get_parameter(path or "")
        except AttributeError:
            raise UserError(
                f"{name} is no parameter of the loaded {type(self.model).__name__}, so it cannot be changed"
                " in place: leave this analysis out."
            ) from None
        if whole.device.type == "meta":
            raise UserError(
                f"{name} is offloaded, so it cannot be changed in place: choose an engine.device_map that"
                " keeps it on a device."
            )
        region = tower.region(name)
        return whole.data if region is None else region.cut(whole.data)

    def read_vlm(self, name: str) -> Tensor:
        """Read V's own tensor, fp32 on the CPU."""
        return self.triple.read("vlm", name)

    def module_path(self, layer: int, module: str) -> str:
        """Return the path in the loaded model of a layer's attention or MLP.

        Raises UserError for an architecture whose layers are built otherwise.
        """
        matrices = [name for name in self.tower if self.triple.kind(name) == "matrix"]
        names = select(matrices, range(layer, layer + 1), module, self.layers)
        parts = (self.triple.towers["vlm"].parameter(names[0]) or "").split(".") if names else []
        owner = split_name(names[0])[1].split(".")[0] if names else ""
        if owner not in parts:
            raise UserError(
                f"layer {layer} of {self.triple.vlm_folder} has no module {module} of its own: leave this"
                " analysis out."
            )
        return ".".join(parts[: parts.index(owner) + 1])

    def module(self, path: str) -> nn.Module:
        """Find a module of the loaded model."""
        found: nn.Module = self.model.get_submodule(path)
        return found

    def mean_output(self, path: str, number: int) -> Tensor:
        """Return a module's mean output over all tokens of `number` calibration questions: (hidden,), fp32.

        Those of all layers are measured at once, by the intact variant. Raises UserError without questions.
        """
        if number not in self._means:
            if self._calibrate is None:
                raise UserError("means are taken over calibration questions: say which under `calibration`.")
            paths = [self.module_path(layer, m) for layer in range(self.layers) for m in MODULES]
            self._means[number] = self._calibrate(paths, number)
        return self._means[number][path]

    def as_vlm(self) -> AbstractContextManager[Mapping[str, Tensor]]:
        """Let the model be V for a while: all that the variant's method may have changed is V's.

        Gives what it was before, by name, on the CPU.
        """

        def restore(name: str, merged: Tensor) -> Tensor:
            return self.read_vlm(name).to(merged.device)

        return self.overwritten({name: partial(restore, name) for name in self.touched})

    @contextmanager
    def overwritten(self, values: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[Mapping[str, Tensor]]:
        """Overwrite tensors, each with a function of its own values; restore every bit afterwards.

        What is overwritten is kept meanwhile in host memory, and given.
        """
        kept: dict[str, Tensor] = {}
        try:
            with torch.no_grad():
                for name, change in values.items():
                    parameter = self.parameter(name)
                    kept[name] = parameter.to("cpu", copy=True)
                    parameter.copy_(change(parameter))
            yield kept
        finally:
            with torch.no_grad():
                for name, original in kept.items():
                    self.parameter(name).copy_(original)
