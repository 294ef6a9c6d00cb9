"""PCB: entries weighted by how much they matter to their own task vector and agree with the other.

Parameter Competition Balancing, arXiv 2410.02396, as its code computes it: per task vector the score of an
entry is exp(2 n^2) * tanh(tau * (tau_V + tau_R)), n its magnitude scaled to 0..1 (its extremes, one in ten
thousand, clamped); scores below the top `density` share are zero, the others scaled to 0..1; B + `strength` *
the mean of the clamped task vectors weighted by these scores. Defaults as published (1.2 for `strength`).
Deviations: per tensor, not over the whole model; where all magnitudes or scores are equal they count as zero;
no evolutionary search of coefficients (a grid or `search` does that).
"""

from torch import Tensor

from frism.method import Array, Share, Site

GRANULARITY = "entry"


EXTREME = 1e-4


def merge(site: Site, *, density: Share = 0.1, strength: float = 1.2) -> Array:
    """Merge one tensor, fp32."""
    both = site.tau_v + site.tau_r
    total, divisor = both * 0, both * 0
    for tau in (site.tau_v, site.tau_r):
        size = _clamp(tau.abs(), EXTREME, EXTREME)
        score = (2 * _scale(size).square()).exp() * (tau * both).tanh()
        weight = _scale(_clamp(score, 1 - density, 0))
        total += tau.sign() * size * weight
        divisor += weight
    return site.base + strength * total / divisor.clamp(min=1e-12)


def _clamp(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp to the quantiles `low` and 1 - `high`, by rank."""
    flat, count = x.flatten(), x.numel()
    ends = (min(count - 1, int(count * low)), max(0, int(count * (1 - high) - 1)))
    smallest, largest = (flat.kthvalue(end + 1).values for end in ends)
    return x.clamp(smallest, largest)


def _scale(x: Tensor) -> Tensor:
    """Scale to 0..1."""
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else x * 0
