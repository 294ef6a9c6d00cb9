"""Measure what gates inject: Frobenius norms, matrix by matrix."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from frism.spectra.spectra import Spectra


@dataclass(frozen=True)
class Gain:
    """Hold Frobenius norms of one matrix: what the gates inject, and all of tau_R (fp32 scalars)."""

    injected: Tensor
    whole: Tensor


def measure_gains(
    spectra: Spectra, gates: Mapping[str, Mapping[str, Tensor]], strength: float
) -> dict[str, Gain]:
    """Return injected and whole norm of tau_R for every matrix that `gates` holds open fractions of.

    `gates`: by tensor name "open", where truncated "open_tail", and where the gates sit on other directions
    than the singular ones "norms", which are theirs.
    """
    result = {}
    for name, fractions in gates.items():
        spectrum = spectra.load(name)
        spectrum = replace(spectrum, s=fractions.get("norms", spectrum.s))
        injected = strength * spectrum.energy(fractions["open"], fractions.get("open_tail")).sqrt()
        result[name] = Gain(injected, spectrum.total.sqrt())
    return result
