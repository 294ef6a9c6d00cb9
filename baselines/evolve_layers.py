"""Evolved layers: V + c_l * tau_R, a coefficient for every layer, found by CMA-ES on dev scores.

After Akiba et al. (arXiv 2403.13187), parameters only, and Unconstrained Model Merging (arXiv 2410.13699):
CMA-ES in [0, `highest`] from `start`, step `spread`; maximised is dev reasoning within the perception budget.
Deviation: tau_R is injected, without TIES and DARE. Dev scores flatter what is fitted to them: read test.
"""

import torch

from frism.errors import UserError
from frism.method import Array, Count, Fitted, Fitting, NonNegative, Positive, Site

GRANULARITY = "layer"
NEEDS = {"dev"}
ELEMENTWISE = True


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["layers"]`: a coefficient per layer; other tensors stay V's."""
    return site.vlm if site.layer is None else site.vlm + site.fitted["layers"][site.layer] * site.tau_r


def fit(
    fitting: Fitting, *, start: NonNegative = 0.3, spread: Positive = 0.2, highest: Positive = 1.5,
    evaluations: Count = 200,
) -> Fitted:  # fmt: skip
    """Search for the coefficients; `evaluations` candidates at most are merged and scored."""
    try:
        import cma
    except ImportError as error:
        raise UserError("method evolve_layers needs the library cma: pip install 'frism[search]'.") from error
    options = {"bounds": [0, highest], "seed": fitting.seed + 1, "maxfevals": evaluations, "verbose": -9}
    search = cma.CMAEvolutionStrategy(fitting.layers * [min(start, highest)], spread, options)
    while not search.stop():
        layers = search.ask()
        merges = [Fitted(model={"layers": torch.tensor(one).float()}) for one in layers]
        search.tell(layers, [-fitting.score(fitted).objective for fitted in merges])
        fitting.report(search.countevals, evaluations)
    return Fitted(model={"layers": torch.tensor(search.result.xbest).float()})
