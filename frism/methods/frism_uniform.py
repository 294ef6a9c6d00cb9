"""FRISM control, one gate for all: plain injection with FRISM's injected Frobenius norm.

V + c * tau_R, c such that ||c tau_R|| equals the norm that the reference variant (FRISM) injects over
all matrices. Separates *how much* is injected from *which* directions. A control of this project.
"""

import torch
from torch import Tensor

from frism.method import Fitted, Fitting, Site
from frism.spectra.gains import measure_gains

NEEDS = {"reference", "spectrum"}
FAMILY = "frism"
ELEMENTWISE = True


def merge(site: Site) -> Tensor:
    """One matrix. `site.fitted["factor"]`: the common factor c, a scalar."""
    return site.vlm + site.fitted["factor"] * site.tau_r


def fit(fitting: Fitting) -> Fitted:
    """The one factor c of the whole model."""
    reference = fitting.reference
    gains = measure_gains(fitting.spectra, reference.tensors, float(reference.params["strength"]))
    injected = torch.stack([g.injected for g in gains.values()]).norm()
    whole = torch.stack([g.whole for g in gains.values()]).norm()
    return Fitted(model={"factor": injected / whole})
