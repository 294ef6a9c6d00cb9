"""FRISM control, gates shuffled: the learned gates, permuted within each matrix.

V + strength * U diag(sigmoid(g_perm) S) V^T: the same gate values on other directions, so nothing of
*which* direction was opened survives (the injected norm may differ a little, as large gates meet
other singular values). A control of this project.
"""

import torch
from torch import Tensor

from frism.methods import seeded
from frism.spectra import decompose
from frism.triples.triple import Triple


def merge(base: Tensor, vlm: Tensor, lrm: Tensor, *, fitted: dict[str, Tensor]) -> Tensor:
    """One matrix, fp32. `fitted["gain"]`: strength * sigmoid(g_perm), shape (min(d_out, d_in),)."""
    return vlm + decompose(lrm - base).gated(fitted["gain"].to(vlm.device))


def fit(
    triple: Triple, reference: dict[str, Tensor], reference_params: dict, *, seed: int
) -> dict[str, Tensor]:
    """The permuted gains of every matrix of the reference, keyed "<tensor name>/gain"."""
    strength, result = reference_params["strength"], {}
    for key in sorted(reference):
        if key.endswith("/gate"):
            name, gates = key.removesuffix("/gate"), torch.sigmoid(reference[key])
            result[f"{name}/gain"] = (
                strength * gates[torch.randperm(len(gates), generator=seeded(seed, name))]
            )
    return result
