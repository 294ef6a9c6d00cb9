"""Measure every singular direction of tau_R: its energy, and its overlap with tau_V's leading subspace."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from benchmarks.tables.gates.directions import Directions, Floats
from benchmarks.tables.gates.leading_subspace import find_leading_subspace as leading
from frism.files import atomic_write
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

VERSION = 1  # of what the files hold: another number computes them again
SCALARS = ("tail", "tail_left", "tail_right", "held")


class AllDirections:
    """Measure the directions of a triple's matrices, one matrix in memory at a time.

    Args:
        spectra: of tau_R.
        folder: where results are cached, a few numbers per direction; None computes each anew.
        device: where to compute.
    """

    def __init__(self, spectra: Spectra, folder: Path | None = None, device: str = "cpu") -> None:
        self.spectra, self.device = spectra, device
        self.folder = None if folder is None else folder / _make_key(spectra.triple, spectra.settings)

    def of(self, name: str) -> Directions:
        """Return the measures of one matrix, by its canonical tensor name."""
        path = None if self.folder is None else self.folder / f"{name}.safetensors"
        directions = None if path is None else _read(path)
        if directions is None:
            directions = self._compute(name)
            if path is not None:
                _write(directions, path)
        return directions

    def _compute(self, name: str) -> Directions:
        triple, spectrum = self.spectra.triple, self.spectra.load(name, self.device)
        base = triple.read("base", name, self.device)
        subspace = leading(triple.read("vlm", name, self.device) - base, name)
        u, vh = spectrum.u.float(), spectrum.vh.float()
        energy = tail_left = tail_right = 0.0
        if spectrum.tail is not None:
            rest = triple.read("lrm", name, self.device) - base - (u * spectrum.s) @ vh
            energy = float(spectrum.tail)
            scale = max(float(rest.double().square().sum()), 1e-300)
            tail_left = float((subspace.u.T @ rest).double().square().sum()) / scale
            tail_right = float((rest @ subspace.vh.T).double().square().sum()) / scale
        return Directions(
            s=_to_numpy(spectrum.s),
            left=_to_numpy((subspace.u.T @ u).square().sum(0)),
            right=_to_numpy((subspace.vh @ vh.T).square().sum(0)),
            tail=energy, tail_left=tail_left, tail_right=tail_right,
            leading=len(subspace.vh), held=subspace.held, shape=(base.shape[0], base.shape[1]),
        )  # fmt: skip


def _to_numpy(tensor: torch.Tensor) -> Floats:
    return tensor.double().cpu().numpy()


def _make_key(triple: Triple, settings: SpectrumSettings) -> str:
    content = json.dumps([VERSION, triple.digest, settings.model_dump()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(directions: Directions, path: Path) -> None:
    arrays = {"s": directions.s, "left": directions.left, "right": directions.right}
    arrays |= {name: np.array(getattr(directions, name)) for name in SCALARS}
    arrays |= {"leading": np.array(directions.leading), "shape": np.array(directions.shape)}
    with atomic_write(path) as temporary:
        save_file(arrays, temporary)


def _read(path: Path) -> Directions | None:
    """Read what `_write` wrote; None for a file that is absent or damaged, which is computed again."""
    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        d_out, d_in = arrays["shape"].tolist()
        return Directions(
            arrays["s"], arrays["left"], arrays["right"],
            **{name: float(arrays[name]) for name in SCALARS},
            leading=int(arrays["leading"]), shape=(d_out, d_in),
        )  # fmt: skip
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
