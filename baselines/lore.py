"""LoRE: both models as a common one plus task vectors of low rank, found together; then task arithmetic.

LoRE-Merging, arXiv 2502.10749, per matrix: theta_0 and delta_V, delta_R minimise sum_i ||theta_0 + delta_i -
theta_i||^2 + `mu` ||delta_i||_* by coordinate descent, where delta_i is theta_i - theta_0 with its singular
values lowered by mu / 2 (at least to 0) and theta_0 the mean of theta_i - delta_i; the merge is theta_0 +
`strength` * (delta_V + delta_R). The paper does without B and does not say where it starts. Deviations: it
starts at B and makes `rounds` rounds, as with two models the average is a fixed point of the descent (there
delta_V = -delta_R for every `mu`), so that a start at the average would merge nothing but it; of a truncated
spectrum the first round takes the kept directions alone; biases and norms stay V's. Its `mu` of 0.01 is from
memory.
"""

import torch
from torch import Tensor

from baselines._spectral import compose, decompose_both
from frism.method import Array, Count, NonNegative, Site
from frism.spectra.spectrum import Spectrum, decompose

GRANULARITY = "direction"
NEEDS = {"spectrum"}


def merge(site: Site, *, mu: NonNegative = 0.01, rounds: Count = 1, strength: float = 1.0) -> Array:
    """Merge one matrix, fp32. Rounds beyond the first decompose two matrices each."""
    spectra = decompose_both(site)
    if spectra is None:
        return site.vlm
    taus = torch.stack((site.tau_v, site.tau_r))
    common, deltas = torch.zeros_like(site.base), torch.zeros_like(taus)
    for number in range(rounds):
        kept = spectra if number == 0 else map(decompose, taus - common)
        deltas = torch.stack([_lower(spectrum, mu / 2) for spectrum in kept])
        common = (taus - deltas).mean(dim=0)
    return site.base + common + strength * deltas.sum(dim=0)


def _lower(spectrum: Spectrum, by: float) -> Tensor:
    return compose(spectrum.u.float(), (spectrum.s - by).clamp(min=0), spectrum.vh.float())
