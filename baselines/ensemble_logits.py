"""Ensemble of predictions: V's and R's next-token distributions averaged, with no merge at all.

What merging replaces: both models run at every token (cf. DExperts, arXiv 2105.03023, and proxy-tuning,
arXiv 2401.08565, which add and subtract logits of several models). V sees the picture; R reads the same
prompt without it, and the answer so far. Deviation: those need an untuned model to subtract; here R's
distribution itself is averaged, in a mixture or product of experts. It costs R's memory and time beside V's.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from frism.method import Fraction

GRANULARITY = "model"
READS = {"vlm", "lrm"}
IDENTITY = {"lrm_weight": 0.0}


def mix(
    vlm: Tensor,
    lrm: Tensor,
    *,
    lrm_weight: Fraction = 0.5,
    mean: Literal["arithmetic", "geometric"] = "arithmetic",
) -> Tensor:
    """Average log-probabilities, (rows, vocabulary) each.

    Args:
        lrm_weight: R's weight; 0 is V alone, 1 is R alone, which has not seen the picture.
        mean: of probabilities (a mixture of experts), or of their logarithms (a product of experts).
    """
    if lrm_weight in (0, 1):
        return lrm if lrm_weight else vlm
    if mean == "geometric":
        return ((1 - lrm_weight) * vlm + lrm_weight * lrm).log_softmax(-1)
    return torch.logaddexp(vlm + math.log1p(-lrm_weight), lrm + math.log(lrm_weight))
