"""Take a variant's change, merged minus V, apart: by layers, by module and by its own singular directions.

Parts side by side hold the whole change, each entry or direction once. Tensors that are no matrices (biases,
norms) have no directions: their change goes with the first part of a spectrum.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from benchmarks.analyses.measuring.blocks import Window, cut_evenly, select
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import BARE, INTACT, Intervention
from frism.spectra.spectrum import decompose

LAYERS, SPECTRUM = "layers", "spectrum"
OUT, IN = "out", "in"
Overwriting = Mapping[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Change:
    """Holds the change of a variant. Use `list_steps`.

    Attributes:
        parts: into how many a spectrum is cut, of nearly so many directions each.
    """

    ground: Ground
    parts: int
    _pieces: dict[str, list[Tensor]] = field(default_factory=dict)

    def list_steps(self, action: str, unit: str, module: str, window: Window) -> Iterator[Intervention]:
        """Yield the intact variant, V, and each part of the change taken out (`OUT`) or put in (`IN`)."""
        yield INTACT
        yield Intervention(BARE, apply=partial(self._apply, OUT, self.ground.touched))
        if unit == LAYERS:
            for layers in window.slide(self.ground.layers):
                names = select(self.ground.touched, layers, module, self.ground.layers)
                apply = partial(self._apply, action, names)
                yield Intervention(action, module, unit, layers[0], layers[-1], apply=apply)
            return
        names = select(self.ground.touched, range(self.ground.layers), module, self.ground.layers)
        for part in range(self.parts):
            apply = partial(self._apply, action, names, part)
            yield Intervention(action, module, unit, part, part, str(self.parts), apply)

    def _apply(self, action: str, names: list[str], part: int | None = None) -> AbstractContextManager[None]:
        """Take out what `names` (or one part of their spectra) hold of the change, or all but that."""
        overwriting: dict[str, Callable[[Tensor], Tensor]] = {}
        chosen = set(names)
        for name in self.ground.touched:
            if part is not None and name in chosen:
                overwriting[name] = partial(self._split, action, name, part)
            elif (name in chosen) == (action == OUT):
                overwriting[name] = partial(self._restore_vlm, name)
        return self.ground.overwritten(overwriting)

    def _restore_vlm(self, name: str, merged: Tensor) -> Tensor:
        return self.ground.read_vlm(name).to(merged.device)

    def _split(self, action: str, name: str, part: int, merged: Tensor) -> Tensor:
        """Return V with one part of a tensor's change, or the merged tensor without it, fp32."""
        piece = self.take_piece(name, part, merged)
        if action == IN:
            return self.ground.read_vlm(name).to(merged.device) + piece
        return merged.float() - piece

    def take_piece(self, name: str, part: int, merged: Tensor) -> Tensor:
        """Return one part of a tensor's change, in its shape, fp32; a matrix is decomposed once.

        The factors of all matrices stay in host memory as long as the analysis runs: 4 (m + n) min(m, n)
        bytes for one of m by n.
        """
        if name not in self._pieces:
            change = merged.float() - self.ground.read_vlm(name).to(merged.device)
            self._pieces[name] = [change.cpu()]
            if change.ndim == 2 and change.any():
                spectrum = decompose(change)
                self._pieces[name] = [(spectrum.u * spectrum.s).cpu(), spectrum.vh.cpu()]
        factors = self._pieces[name]
        if len(factors) == 1:
            return (
                factors[0].to(merged.device) if part == 0 else torch.zeros_like(merged, dtype=torch.float32)
            )
        cut = cut_evenly(factors[1].shape[0], self.parts)
        if part >= len(cut):
            return torch.zeros_like(merged, dtype=torch.float32)
        rows = slice(cut[part].start, cut[part].stop)
        return factors[0][:, rows].to(merged.device) @ factors[1][rows].to(merged.device)
