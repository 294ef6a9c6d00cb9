"""Apply open fractions to a spectrum: the gated matrix, and the norms that gates inject."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum


@dataclass(frozen=True)
class Gain:
    """Frobenius norms of one matrix: what the gates inject, and tau_R's own (fp32 scalars)."""

    injected: Tensor
    whole: Tensor


def measure_gains(spectra: Spectra, fitted: Mapping[str, Tensor], strength: float) -> dict[str, Gain]:
    """Injected and whole norm of tau_R for every matrix that `fitted` holds a "<name>/open" of.

    Where the gates sit on other directions than the singular ones, "<name>/norms" are theirs.
    """
    result = {}
    for key, opened in fitted.items():
        if key.endswith("/open"):
            name = key.removesuffix("/open")
            spectrum = spectra.load(name)
            spectrum = replace(spectrum, s=fitted.get(f"{name}/norms", spectrum.s))
            norm = strength * spectrum.energy(opened, fitted.get(f"{key}_tail")).sqrt()
            result[name] = Gain(norm, spectrum.total.sqrt())
    return result


def merge_gated(
    vlm: Tensor, base: Tensor, lrm: Tensor, spectrum: Spectrum, fitted: Mapping[str, Tensor], strength: float
) -> Tensor:
    """FRISM eq. 7 for one matrix (d_out, d_in), fp32: vlm + strength * the gated task vector.

    `fitted`: "open", the fraction of every direction that is injected, (k,); where the spectrum has a tail
    also "open_tail", a scalar.
    """
    return vlm + strength * spectrum.gate(fitted["open"], fitted.get("open_tail"), lrm - base)
