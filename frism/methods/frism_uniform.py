"""FRISM control, one gate for all: plain injection with FRISM's injected Frobenius norm.

V + c * tau_R, c such that ||c tau_R|| equals the norm that the reference variant (FRISM) injects over
all matrices. Separates *how much* is injected from *which* directions. A control of this project.
"""

import torch
from torch import Tensor

from frism.method import Fitted, Fitting, Site
from frism.spectra.gains import measure_gains

GRANULARITY = "model"
NEEDS = {"reference", "spectrum"}
FAMILY = "frism"
ELEMENTWISE = True


def merge(site: Site) -> Tensor:
    """Merge one matrix. `site.fitted["factor"]`: the common factor c, a scalar."""
    return site.vlm + site.fitted["factor"] * site.tau_r


def fit(fitting: Fitting) -> Fitted:
    """Compute the one factor c of the whole model."""
    reference = fitting.reference
    gains = measure_gains(fitting.spectra, reference.tensors, float(reference.params["strength"]))
    injected = torch.stack([gain.injected for gain in gains.values()]).norm()
    whole = torch.stack([gain.whole for gain in gains.values()]).norm()
    return Fitted(model={"factor": injected / whole.clamp(min=1e-30)})
