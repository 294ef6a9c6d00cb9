"""FRISM control, one gate per matrix: FRISM's injected norm in every matrix, no choice of directions.

V + c_l * tau_R,l with c_l such that ||c_l tau_R,l|| equals what the reference variant (FRISM) injects
into matrix l. Separates per-matrix scale from per-direction choice. A control of this project.
"""

from torch import Tensor

from frism.spectra.gains import measure_gains
from frism.spectra.spectra import Spectra

ELEMENTWISE = True


def merge(base: Tensor, vlm: Tensor, lrm: Tensor, *, fitted: dict[str, Tensor]) -> Tensor:
    """One matrix, fp32. `fitted["value"]`: the matrix's factor c_l, a scalar."""
    return vlm + fitted["value"].to(vlm.device) * (lrm - base)


def fit(reference: dict[str, Tensor], reference_params: dict, *, spectra: Spectra) -> dict[str, Tensor]:
    """The factor c_l of every matrix of the reference, keyed by tensor name."""
    gains = measure_gains(spectra, reference, reference_params["strength"])
    return {name: g.injected / g.whole.clamp(min=1e-30) for name, g in gains.items()}
