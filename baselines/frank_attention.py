"""FRANK with its prior fitted: the decay of V's attention to the picture, layer by layer.

FRANK, arXiv 2505.16151: as `frank`, with the decay of its prior from a_l, the mean over questions and heads
of the attention that text tokens of layer l give to visual tokens, over what they give to visual and text
tokens; ln a_l = ln C - decay * l by least squares. `prior` "sum" or "max" as there. Deviations: calibration
pictures with their questions in place of 1000 of COCO; tensors outside the layers, embeddings and lm_head
stay V's.
"""

from typing import Literal

import torch

from baselines._blocks import fit_decay, fit_layers, merge_layer, weigh_layers
from frism.distillation.attention import measure_visual_share
from frism.distillation.receiver import Receiver
from frism.method import Array, Fitted, Fitting, Site

GRANULARITY = "layer"
NEEDS = {"calibration"}
ELEMENTWISE = True


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["vlm"]` and `["lrm"]`: the layers' coefficients."""
    return merge_layer(site)


def fit(fitting: Fitting, *, prior: Literal["sum", "max"] = "sum") -> Fitted:
    """Measure the attention, fit its decay, compute the coefficients; all are part of the result."""
    receiver = Receiver.load(fitting.triple, fitting.compute)
    shares = measure_visual_share(receiver, fitting.calibration.questions)
    decay = fit_decay(shares)
    fitted = fit_layers(fitting, weigh_layers(decay, fitting.layers, prior))
    more = {"attention": shares.float(), "decay": torch.tensor(decay)}
    return Fitted(model={**fitted.model, **more})
