"""FRANK: B + lambda_V,l tau_V + lambda_R,l tau_R, each lambda its task vector's share of layer l's norms.

FRANK, arXiv 2505.16151, in closed form: lambda_t,l = w_t,l ||tau_t,l||^2 / sum_k w_k,l ||tau_k,l||^2, norms
over all of decoder layer l that is merged. `prior` "none" has equal weights: MetaGPT by layer. Otherwise
w_V,l = exp(-`decay` l) and w_R,l = 1 - w_V,l, as early layers see: "sum" divides w_V by its sum over the
layers, as published, which leaves V one over the number of layers and less; "max" by its largest, so that the
first layer stays V's. Here `decay` is given (the paper has such an ablation); `frank_attention` fits it.
Deviation: tensors outside the layers, embeddings and lm_head stay V's, of which the paper says nothing.
"""

from typing import Literal

from baselines._blocks import fit_layers, merge_layer, weigh_layers
from frism.method import Array, Fitted, Fitting, NonNegative, Site

GRANULARITY = "layer"
ELEMENTWISE = True


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["vlm"]` and `["lrm"]`: the layers' coefficients."""
    return merge_layer(site)


def fit(
    fitting: Fitting, *, prior: Literal["none", "sum", "max"] = "none", decay: NonNegative = 0.1
) -> Fitted:
    """Compute the coefficients of every layer."""
    return fit_layers(fitting, weigh_layers(decay, fitting.layers, prior))
