"""FRISM control, one gate per matrix: FRISM's injected norm in every matrix, no choice of directions.

V + c_l * tau_R,l with c_l such that ||c_l tau_R,l|| equals what the reference variant (FRISM) injects
into matrix l. Separates per-matrix scale from per-direction choice. A control of this project.
"""

from torch import Tensor

from frism.method import Fitted, Fitting, Site
from frism.spectra.gains import measure_gains

GRANULARITY = "matrix"
NEEDS = {"reference", "spectrum"}
FAMILY = "frism"
ELEMENTWISE = True


def merge(site: Site) -> Tensor:
    """Merge one matrix. `site.fitted["factor"]`: the matrix's factor c_l, a scalar."""
    return site.vlm + site.fitted["factor"] * site.tau_r


def fit(fitting: Fitting) -> Fitted:
    """Compute the factor c_l of every matrix of the reference."""
    reference = fitting.reference
    gains = measure_gains(fitting.spectra, reference.tensors, float(reference.params["strength"]))
    factors = {name: gain.injected / gain.whole.clamp(min=1e-30) for name, gain in gains.items()}
    return Fitted(tensors={name: {"factor": factor} for name, factor in factors.items()})
