"""MetaGPT: B + lambda_V * tau_V + lambda_R * tau_R, each lambda its task vector's share of the squared norms.

Zhou et al., arXiv 2406.11385: lambda_t = ||tau_t||^2 / sum_k ||tau_k||^2 over all parameters that are merged,
in closed form, without data. The larger task vector gets the larger coefficient: where R moved much farther
from B than V did, it all but replaces V. Deviation: norms are taken over the scope, not over embeddings and
lm_head, which always come from V.
"""

import math

from frism.errors import UserError
from frism.method import Array, Fitted, Fitting, Site

GRANULARITY = "model"
ARITHMETIC = True


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["vlm"]` and `["lrm"]`: lambda_V and lambda_R, which sum to one."""
    return site.base + site.fitted["vlm"] * site.tau_v + site.fitted["lrm"] * site.tau_r


def fit(fitting: Fitting) -> Fitted:
    """Compute the two coefficients of the whole model; squares are summed in float64."""
    import torch  # which merging does without

    norms = [[float(tau.double().norm()) for tau in (s.tau_v, s.tau_r)] for s in fitting.sites()]
    vlm, lrm = (math.fsum(norm**2 for norm in column) for column in zip(*norms, strict=True))
    if not vlm + lrm:
        raise UserError("method metagpt: V and R equal B in every tensor of the scope: nothing to merge.")
    shares = {"vlm": vlm / (vlm + lrm), "lrm": lrm / (vlm + lrm)}
    return Fitted(model={role: torch.tensor(share) for role, share in shares.items()})
