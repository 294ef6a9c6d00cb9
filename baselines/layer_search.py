"""Layer search: V + c_l * tau_R, a coefficient for every layer, found by CMA-ES on dev scores.

After Evolutionary optimization of model merging recipes (Akiba et al., arXiv 2403.13187), parameter space
only: CMA-ES over per-layer coefficients in [0, `highest`], from `start` everywhere with step `spread`.
Deviations: injection of tau_R instead of TIES with DARE; what is maximised is reasoning on the dev questions
within the study's perception budget. Fitted to dev, so its dev scores flatter it: read the test scores.
"""

from collections.abc import Sequence

import torch

from frism.errors import UserError
from frism.method import Array, Count, Fitted, Fitting, NonNegative, Positive, Site

NEEDS = {"dev"}
ELEMENTWISE = True


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["layers"]`: a coefficient per layer; other tensors stay V's."""
    if site.layer is None:
        return site.vlm
    return site.vlm + site.fitted["layers"][site.layer] * site.tau_r


def fit(
    fitting: Fitting, *, start: NonNegative = 0.3, spread: Positive = 0.2, highest: Positive = 1.5,
    evaluations: Count = 200,
) -> Fitted:  # fmt: skip
    """Search for the coefficients; `evaluations` candidates at most are merged and scored."""
    try:
        import cma
    except ImportError as error:
        raise UserError("method layer_search needs the library cma: pip install 'frism[search]'.") from error
    options = {"bounds": [0, highest], "seed": fitting.seed + 1, "maxfevals": evaluations, "verbose": -9}
    search = cma.CMAEvolutionStrategy(fitting.layers * [min(start, highest)], spread, options)
    while not search.stop():
        candidates = search.ask()
        search.tell(candidates, [-fitting.score(_coefficients(values)).objective for values in candidates])
        fitting.report(search.countevals, evaluations)
    return _coefficients(search.result.xbest)


def _coefficients(values: Sequence[float]) -> Fitted:
    return Fitted(model={"layers": torch.tensor(values, dtype=torch.float32)})
