"""FRISM control, one gate for all: plain injection with FRISM's injected Frobenius norm.

V + c * tau_R, c such that ||c tau_R|| equals the norm that the reference variant (FRISM) injects over
all matrices. Separates *how much* is injected from *which* directions. A control of this project.
"""

import torch
from torch import Tensor

from frism.spectra.gains import measure_gains
from frism.spectra.spectra import Spectra

ELEMENTWISE = True


def merge(base: Tensor, vlm: Tensor, lrm: Tensor, *, fitted: dict[str, Tensor]) -> Tensor:
    """One matrix, fp32. `fitted["value"]`: the common factor c, a scalar."""
    return vlm + fitted["value"].to(vlm.device) * (lrm - base)


def fit(reference: dict[str, Tensor], reference_params: dict, *, spectra: Spectra) -> dict[str, Tensor]:
    """The factor c for every matrix of the reference, keyed by tensor name."""
    gains = measure_gains(spectra, reference, reference_params["strength"])
    injected = torch.stack([g.injected for g in gains.values()]).norm()
    whole = torch.stack([g.whole for g in gains.values()]).norm()
    return dict.fromkeys(gains, injected / whole)
