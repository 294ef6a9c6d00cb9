"""FRISM control, gates shuffled: the learned gates, permuted within each matrix.

V + strength * U diag(open_perm * S) V^T: the same gate values on other directions, so nothing of *which*
direction was opened survives (the injected norm may differ a little, as large gates meet other singular
values). A truncated spectrum's tail keeps its gate. A control of this project.
"""

import torch
from torch import Tensor

from frism.errors import UserError
from frism.seeds import make_generator
from frism.spectra.gains import merge_gated
from frism.spectra.spectrum import Spectrum


def merge(base: Tensor, vlm: Tensor, lrm: Tensor, *, spectrum: Spectrum, fitted: dict[str, Tensor]) -> Tensor:
    """One matrix, fp32. `fitted["open"]`: strength * the permuted open fractions, shape (k,)."""
    return merge_gated(vlm, base, lrm, spectrum, fitted, strength=1.0)


def fit(reference: dict[str, Tensor], reference_params: dict, *, seed: int) -> dict[str, Tensor]:
    """The permuted gains of every matrix of the reference, keyed "<tensor name>/open".

    Raises UserError for gates that sit on other directions than the singular ones.
    """
    if any(key.endswith("/norms") for key in reference):
        raise UserError(
            "method frism_shuffled: the reference's gates sit on random directions: name a variant of frism"
            " in `reference:`."
        )
    strength, result = reference_params["strength"], {}
    for key in sorted(reference):
        if key.endswith("/open"):
            order = torch.randperm(
                len(reference[key]), generator=make_generator(seed, key.removesuffix("/open"))
            )
            result[key] = strength * reference[key][order]
        elif key.endswith("/open_tail"):
            result[key] = strength * reference[key]
    return result
