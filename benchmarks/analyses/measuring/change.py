"""Take a variant's change, merged minus V, apart: by layers, by module and by its own singular directions.

Parts side by side hold the whole change, each entry or direction once. Tensors that are no matrices (biases,
norms) have no directions: their change goes with the first part of a spectrum.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.analyses.measuring.blocks import Window, select
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import BARE, IN, INTACT, LAYERS, Intervention
from benchmarks.analyses.measuring.pieces import Pieces


class Change:
    """Holds the change of a variant. Use `list_steps`.

    Args:
        parts: into how many a spectrum is cut, of nearly so many directions each.
    """

    def __init__(self, ground: Ground, parts: int) -> None:
        self.ground, self.parts = ground, parts
        self._merged: Mapping[str, Tensor] = {}  # the variant's tensors, while the model is V
        self._pieces: Pieces | None = None

    @classmethod
    def of(cls, ground: Ground, parts: int) -> "Change":
        """Return the change of a ground's variant: one for all parameters of an analysis, decomposed once."""
        found: Change = ground.memo.setdefault(f"change {parts}", cls(ground, parts))
        return found

    def list_steps(self, action: str, unit: str, module: str, window: Window) -> Iterator[Intervention]:
        """Yield the intact variant, V, and each part of the change taken out (`OUT`) or put in (`IN`).

        What is put in is put into V, which the model stays for all of it.
        """
        yield INTACT
        yield Intervention(BARE, within=self.as_vlm)
        within = self.as_vlm if action == IN else nullcontext
        whole = range(self.ground.layers)
        if unit == LAYERS:
            for layers in window.slide(self.ground.layers):
                names = select(self.ground.touched, layers, module, self.ground.layers)
                apply = partial(self._put_in if action == IN else self._take_out, names)
                yield Intervention(action, module, unit, layers[0], layers[-1], apply=apply, within=within)
            return
        names = select(self.ground.touched, whole, module, self.ground.layers)
        for part in range(self.parts):
            apply = partial(self._put_part_in if action == IN else self._take_part_out, names, part)
            yield Intervention(action, module, unit, part, part, str(self.parts), apply, within)

    @contextmanager
    def as_vlm(self) -> Iterator[None]:
        """Let the model be V for a while. The variant's tensors are kept in host memory."""
        with self.ground.as_vlm() as merged:
            self._merged = merged
            try:
                yield
            finally:
                self._merged = {}

    def _take_out(self, names: list[str]) -> AbstractContextManager[object]:
        return self.ground.overwritten({name: partial(self._restore_vlm, name) for name in names})

    def _put_in(self, names: list[str]) -> AbstractContextManager[object]:
        assert self._merged, "the model must be V"
        return self.ground.overwritten({name: partial(self._restore_merged, name) for name in names})

    def _take_part_out(self, names: list[str], part: int) -> AbstractContextManager[object]:
        return self._overwrite(names, lambda name, merged: merged.float() - self._take(name, part, merged))

    def _put_part_in(self, names: list[str], part: int) -> AbstractContextManager[object]:
        assert self._merged, "the model must be V"

        def add(name: str, vlm: Tensor) -> Tensor:
            return vlm.float() + self._take(name, part, self._merged[name].to(vlm.device))

        return self._overwrite(names, add)

    def _overwrite(
        self, names: list[str], change: Callable[[str, Tensor], Tensor]
    ) -> AbstractContextManager[object]:
        return self.ground.overwritten({name: partial(change, name) for name in names})

    def _restore_vlm(self, name: str, merged: Tensor) -> Tensor:
        return self.ground.read_vlm(name).to(merged.device)

    def _restore_merged(self, name: str, vlm: Tensor) -> Tensor:
        return self._merged[name].to(vlm.device)

    def _take(self, name: str, part: int, merged: Tensor) -> Tensor:
        """Return one part of a tensor's change, in its shape, fp32; a matrix is decomposed once.

        Args:
            merged: the variant's tensor.
        """
        nothing = torch.zeros_like(merged, dtype=torch.float32)
        pieces = self._open_pieces()
        if name in pieces:
            found = pieces.read(name, part, merged.device)
            return nothing if found is None else found
        change = merged.float() - self.ground.read_vlm(name).to(merged.device)
        if change.ndim == 2 and change.any():
            pieces.add(name, change)
            return self._take(name, part, merged)
        return change if part == 0 else nothing

    def _open_pieces(self) -> Pieces:
        if self._pieces is None:
            folder = self.ground.scratch
            if folder is None:
                kept = self.ground.memo.setdefault("folder", tempfile.TemporaryDirectory())
                folder = Path(kept.name)
            self._pieces = Pieces(self.parts, folder / f"parts_{self.parts}")
        return self._pieces
