"""Choose which matrices a job decomposes: some layers, or one of N parts of equal work. Imports no torch."""

import re
from collections.abc import Mapping

from frism.errors import UserError
from frism.spectra.costs import COSTS, choose_solver, estimate_seconds
from frism.spectra.settings import SpectrumSettings

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_PART = re.compile(r"(\d+)/(\d+)")


def parse_layers(text: str, layers: int) -> set[int]:
    """Return the layers that "0-13" or "3,5-7" names. Raises UserError for any other text or layer."""
    numbers: set[int] = set()
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise UserError(f"--layers {text} is not a list of layers: write 0-13, or 3,5-7.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= layers or first > last:
            raise UserError(f"--layers {text} goes beyond the model: choose among layers 0 to {layers - 1}.")
        numbers.update(range(first, last + 1))
    return numbers


def choose_part(shapes: Mapping[str, tuple[int, ...]], part: str, settings: SpectrumSettings) -> list[str]:
    """Return the names, of all in `shapes`, that part "I/N" decomposes: the same in every process.

    The costliest matrices are dealt out first, each to the part with the least work. Raises UserError
    for a part outside 1 to N.
    """
    match = _PART.fullmatch(part.strip())
    index, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= parts:
        raise UserError(f"--part {part} is not a part: write I/N with I from 1 to N.")
    work = {name: _seconds(shape, settings) for name, shape in shapes.items()}
    loads, chosen = [0.0] * parts, set()
    for name in sorted(work, key=lambda name: -work[name]):  # stable: equal ones in their order
        lightest = loads.index(min(loads))
        loads[lightest] += work[name]
        if lightest == index - 1:
            chosen.add(name)
    return [name for name in shapes if name in chosen]


def _seconds(shape: tuple[int, ...], settings: SpectrumSettings) -> float:
    solver = choose_solver(settings.solver, shape, settings.rank, "cpu")
    return estimate_seconds(solver if solver in COSTS["cpu"] else "gesdd", shape, settings.rank)
