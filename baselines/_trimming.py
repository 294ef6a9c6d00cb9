"""Find the largest entries of a task vector, as TIES trims, by one selection over the whole tensor."""

import numpy as np
import torch
from torch import Tensor


def mark_largest(sizes: Tensor, density: float, exact: bool) -> Tensor:
    """Mark the share `density` of the entries with the largest magnitudes `sizes` (fp32), at least one.

    `exact` keeps int(density * count) entries, of equal ones the first; otherwise round(density * count) and
    all that equal the smallest of them.
    """
    count = sizes.numel()
    first = count - max(1, int(density * count) if exact else round(density * count))
    smallest = float(np.partition(sizes.flatten().cpu().numpy(), first)[first])
    if not exact or smallest == 0:  # which zeros stay makes no difference
        return sizes >= smallest
    keep = (sizes > smallest).flatten()
    equal = (sizes == smallest).flatten().nonzero().flatten()
    keep[equal[: count - first - int(torch.count_nonzero(keep))]] = True
    return keep.view_as(sizes)
