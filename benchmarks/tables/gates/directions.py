"""Hold what is measured of every singular direction of tau_R: its energy, its overlap with tau_V."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frism.spectra.settings import SpectrumSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """Hold the measures of one matrix (d_out, d_in) of the triple, direction by direction.

    Attributes:
        s: (k,) singular values of tau_R, falling.
        left: (k,) squared length of u_k within the span of tau_V's leading left directions, in [0, 1].
        right: (k,) squared length of v_k within its leading right ones.
        tail: squared Frobenius norm of what a truncated spectrum leaves over, else 0; tail_left, tail_right:
            the share of it within those spans.
        leading: number of directions that hold half of tau_V's energy; held: the share that they hold.
        shape: (d_out, d_in). A random direction would lie within by leading/d_out on the left, leading/d_in
            on the right.
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


AllMatrices = Mapping[SpectrumSettings, Mapping[str, Directions]]  # by spectrum and tensor name
