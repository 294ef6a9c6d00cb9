"""Merge one matrix by the open fractions of its directions."""

from collections.abc import Mapping

from torch import Tensor

from frism.errors import UserError
from frism.method import Site
from frism.spectra.spectrum import Spectrum


def merge_gated(
    site: Site, spectrum: Spectrum | None, fitted: Mapping[str, Tensor], strength: float
) -> Tensor:
    """FRISM eq. 7 for one matrix (d_out, d_in), fp32: V + strength * the gated task vector.

    `fitted`: "open", the fraction of every direction that is injected, (k,); where the spectrum has a tail
    also "open_tail", a scalar. B and R are read for the tail alone. Biases and norms stay V's.
    """
    if spectrum is None:
        return site.vlm
    fractions = fitted["open"]
    if fractions.shape not in ((), (1,), spectrum.s.shape) or not fractions.is_floating_point():
        raise UserError(
            f"what was fitted for {site.name} are {list(fractions.shape)} {fractions.dtype} fractions of"
            f" {len(spectrum.s)} directions: make the variant again."
        )
    tau = site.tau_r if spectrum.tail is not None else None
    return site.vlm + strength * spectrum.gate(fractions, fitted.get("open_tail"), tau)
