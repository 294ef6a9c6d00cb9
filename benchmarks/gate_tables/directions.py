"""What is worth knowing of every singular direction of tau_R: its energy, and how far it lies in tau_V's."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from benchmarks.gate_tables.leading_subspace import leading
from frism.files import atomic_write
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

Floats = NDArray[np.float64]
VERSION = 1  # of what the files hold: another number computes them again
SCALARS = ("tail", "tail_left", "tail_right", "held")


@dataclass(frozen=True)
class Directions:
    """One matrix (d_out, d_in) of the triple, direction by direction.

    Attributes:
        s: (k,) singular values of tau_R, falling.
        left: (k,) squared length of u_k within the span of tau_V's leading left directions, in [0, 1].
        right: (k,) that of v_k within its leading right ones.
        tail: squared Frobenius norm of what a truncated spectrum leaves over, else 0; tail_left, tail_right:
            the share of it within those spans.
        leading: directions that hold half of tau_V's energy; held: the share that they hold.
        shape: (d_out, d_in). A direction that has nothing to do with tau_V would lie within by leading/d_out
            on the left, leading/d_in on the right.
    """

    s: Floats
    left: Floats
    right: Floats
    tail: float
    tail_left: float
    tail_right: float
    leading: int
    held: float
    shape: tuple[int, int]

    @property
    def total(self) -> float:
        """Squared Frobenius norm of tau_R."""
        return float((self.s**2).sum()) + self.tail


class AllDirections:
    """The directions of every matrix of a triple; one matrix in memory at a time.

    Args:
        spectra: of tau_R.
        folder: keeps what was computed, a few numbers a direction; None computes each anew.
        device: where to compute.
    """

    def __init__(self, spectra: Spectra, folder: Path | None = None, device: str = "cpu") -> None:
        self.spectra, self.device = spectra, device
        self.folder = None if folder is None else folder / _key(spectra.triple, spectra.settings)

    def of(self, name: str) -> Directions:
        """One matrix, by its canonical tensor name."""
        path = None if self.folder is None else self.folder / f"{name}.safetensors"
        found = None if path is None else _read(path)
        if found is None:
            found = self._computed(name)
            if path is not None:
                _write(found, path)
        return found

    def _computed(self, name: str) -> Directions:
        triple, spectrum = self.spectra.triple, self.spectra.load(name, self.device)
        base = triple.read("base", name, self.device)
        own = leading(triple.read("vlm", name, self.device) - base, name)
        u, vh = spectrum.u.float(), spectrum.vh.float()
        energy = tail_left = tail_right = 0.0
        if spectrum.tail is not None:
            rest = triple.read("lrm", name, self.device) - base - (u * spectrum.s) @ vh
            energy = float(spectrum.tail)
            scale = max(float(rest.double().square().sum()), 1e-300)
            tail_left = float((own.u.T @ rest).double().square().sum()) / scale
            tail_right = float((rest @ own.vh.T).double().square().sum()) / scale
        return Directions(
            s=_numpy(spectrum.s),
            left=_numpy((own.u.T @ u).square().sum(0)),
            right=_numpy((own.vh @ vh.T).square().sum(0)),
            tail=energy, tail_left=tail_left, tail_right=tail_right,
            leading=len(own.vh), held=own.held, shape=(base.shape[0], base.shape[1]),
        )  # fmt: skip


def _numpy(tensor: torch.Tensor) -> Floats:
    return tensor.double().cpu().numpy()


def _key(triple: Triple, settings: SpectrumSettings) -> str:
    content = json.dumps([VERSION, triple.digest, settings.model_dump()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(own: Directions, path: Path) -> None:
    arrays = {"s": own.s, "left": own.left, "right": own.right}
    arrays |= {name: np.array(getattr(own, name)) for name in SCALARS}
    arrays |= {"leading": np.array(own.leading), "shape": np.array(own.shape)}
    with atomic_write(path) as temporary:
        save_file(arrays, temporary)


def _read(path: Path) -> Directions | None:
    """None for a file that is not there or damaged: it is computed again."""
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
