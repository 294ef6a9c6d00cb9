"""Truncated injection: V + `strength` * the `rank` leading singular directions of tau_R.

Task arithmetic (arXiv 2212.04089) on the best rank-k approximation (Eckart and Young 1936) of the task
vector, plain or, with `match_norm`, rescaled to the Frobenius norm of all of tau_R, as the rank-one injection
of `rank_one` generalised; what is left then differs from `inject` in direction alone. Deviations: none of the
paper's; biases and norms stay V's.
"""

from baselines._spectral import compose, leading
from frism.method import Array, Count, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0}


def merge(site: Site, *, rank: Count = 16, strength: float = 0.3, match_norm: bool = False) -> Array:
    """Merge one matrix, fp32. `rank` beyond the matrix' own keeps every direction."""
    spectrum = site.spectrum
    if spectrum is None:
        return site.vlm
    u, s, vh = leading(spectrum, rank)
    scale = spectrum.total.sqrt() / s.norm().clamp(min=1e-30) if match_norm else 1.0
    return site.vlm + strength * compose(u, scale * s, vh)
