"""RegMean: the matrix whose outputs are nearest to V's on V's inputs and to R's on R's.

RegMean, arXiv 2212.09849, per matrix: W = (w G_V + (1 - w) G_R)^-1 (w G_V V + (1 - w) G_R R), on transposed
matrices, G the second moments X^T X of a model's inputs per token, their entries off the diagonal multiplied
by `off_diagonal` (0.9 as published; 1 is the least-squares solution, 0 a mean weighted by the inputs' sizes),
w = `vlm_weight`. A ridge of a millionth of the mean diagonal makes the inverse exist. Deviations: V is asked
about the calibration pictures, R the same questions without them, with V's embedding and head; biases and
norms stay V's, not the mean. The fit keeps the merged matrices, and a (d_in, d_in) matrix of each layer in
memory.
"""

import torch
from torch import Tensor

from baselines._experts import Asking, measure_both_inputs
from frism.method import Array, Fitted, Fitting, Fraction, Site

GRANULARITY = "matrix"
NEEDS = {"calibration"}
READS = {"vlm"}


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["change"]`: what is added to V; biases and norms have none."""
    return site.vlm + site.fitted["change"] if "change" in site.fitted else site.vlm


def fit(
    fitting: Fitting, *, vlm_weight: Fraction = 0.5, off_diagonal: Fraction = 0.9, asking: Asking
) -> Fitted:
    """Measure both models' inputs and solve for every matrix."""
    measured = measure_both_inputs(fitting, asking)
    changes = {}
    for site in fitting.sites():
        if site.name in measured["vlm"]:
            of_vlm, of_lrm = (_shrink(measured[r][site.name], off_diagonal) for r in ("vlm", "lrm"))
            of_vlm, of_lrm = vlm_weight * of_vlm, (1 - vlm_weight) * of_lrm
            both = of_vlm + of_lrm
            both.diagonal().add_(1e-6 * both.diagonal().mean().clamp(min=1e-30))
            difference = (site.lrm - site.vlm).double().cpu()
            change = torch.linalg.solve(both, of_lrm @ difference.mT).mT
            changes[site.name] = {"change": change.float().contiguous()}
    return Fitted(tensors=changes)


def _shrink(moments: Tensor, off_diagonal: float) -> Tensor:
    return off_diagonal * moments.double() + (1 - off_diagonal) * moments.double().diagonal().diag()
