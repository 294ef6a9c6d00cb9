"""FRISM control, gates shuffled: the learned gates, permuted within each matrix.

V + strength * U diag(open_perm * S) V^T: the same gate values on other directions, so nothing of *which*
direction was opened survives (the injected norm may differ a little, as large gates meet other singular
values). A truncated spectrum's tail keeps its gate. A control of this project.
"""

import torch
from torch import Tensor

from frism.errors import UserError
from frism.method import Fitted, Fitting, Site
from frism.methods._gated import merge_gated
from frism.seeds import make_generator

GRANULARITY = "direction"
NEEDS = {"reference", "spectrum", "seed"}
FAMILY = "frism"


def merge(site: Site) -> Tensor:
    """Merge one matrix. `site.fitted["open"]`: strength * the permuted open fractions, shape (k,)."""
    return merge_gated(site, site.spectrum, site.fitted, strength=1.0)


def fit(fitting: Fitting) -> Fitted:
    """Permute the gains of every matrix of the reference: per tensor "open".

    Raises UserError for gates that sit on other directions than the singular ones.
    """
    reference = fitting.reference
    result: dict[str, dict[str, Tensor]] = {}
    for name, gates in sorted(reference.tensors.items()):
        if "norms" in gates:
            raise UserError(
                "method frism_shuffled: the reference's gates sit on random directions: name a variant of"
                " frism in `reference:`."
            )
        order = torch.randperm(len(gates["open"]), generator=make_generator(fitting.seed, name))
        strength = float(reference.params["strength"])
        result[name] = {key: strength * (gates[key][order] if key == "open" else gates[key])
                        for key in ("open", "open_tail") if key in gates}  # fmt: skip
    return Fitted(tensors=result)
