"""STAR: the leading directions of a task vector that hold most of its nuclear norm, rescaled to all of it.

Spectral Truncation And Rescale, arXiv 2502.10339, per matrix: of the singular values of a task vector the
fewest that sum to the share `mass` of all stay (40 % as published), multiplied by sum / kept sum. `anchor`
"base" merges both, as published: B + `strength` * (STAR(tau_V) + STAR(tau_R)), 1/2 being its average.
Deviations: by default the receiver is whole, V + `strength` * STAR(tau_R); of a truncated spectrum only the
kept directions count; biases and norms stay V's.
"""

from typing import Literal

from torch import Tensor

from baselines._spectral import compose, leading
from frism.method import Array, Share, Site
from frism.spectra.spectrum import Spectrum

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0, "anchor": "vlm"}


def merge(
    site: Site, *, mass: Share = 0.4, strength: float = 0.5, anchor: Literal["vlm", "base"] = "vlm"
) -> Array:
    """Merge one matrix, fp32."""
    if site.spectrum is None:
        return site.vlm
    injected = strength * _truncate(site.spectrum, mass)
    if anchor == "vlm" or site.spectrum_v is None:
        return site.vlm + injected
    return site.base + strength * _truncate(site.spectrum_v, mass) + injected


def _truncate(spectrum: Spectrum, mass: float) -> Tensor:
    sums = spectrum.s.double().cumsum(0)
    kept = int((sums < mass * sums[-1]).sum()) + 1
    scale = float(sums[-1] / sums[kept - 1]) if sums[-1] > 0 else 1.0
    u, s, vh = leading(spectrum, kept)
    return compose(u, scale * s, vh)
