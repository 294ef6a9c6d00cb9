"""Merge a whole tensor with a method, as the engine does: after what the method measures of it."""

from torch import Tensor

from frism.method import discovery
from frism.method.parameters import Value
from frism.method.site import Site


def merge_whole(name: str, site: Site, **params: Value) -> Tensor:
    """The merge of one tensor by a method, with its other parameters at their defaults."""
    method = discovery.find(name)
    merged: Tensor = method.run_merge(site, method.validate(params))
    return merged
