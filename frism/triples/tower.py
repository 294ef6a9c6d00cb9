"""Say what a tower is: one checkpoint's language model under canonical names, whatever its files say."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.headers import Header
from frism.triples.facts import Facts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Region:
    """Name rows [first, last) of a stored matrix, or of one matrix of a stack (-1: it is no stack)."""

    matrix: int
    first: int
    last: int

    def cut(self, whole: "Tensor") -> "Tensor":
        """Return the region, sharing the memory of the whole."""
        matrix = whole if self.matrix < 0 else whole[self.matrix]
        return matrix[self.first : self.last]


class Tower:
    """One checkpoint's tensors under canonical names.

    Attributes:
        is_vlm: whether the model is a vision-language model.
        module: the path of the language model among the modules of the loaded model.
        text_type: the type of text model that it is.
        names: canonical name to stored name, in stored order, of every tensor of the tower that a text model
            has. What else the tower holds (cross-attention layers) is left out, and so is a head that is not
            stored because it is the embedding.
    """

    is_vlm: bool
    module: str
    names: dict[str, str]

    def __init__(self, checkpoint: Checkpoint, role: str) -> None:
        self.checkpoint, self.role = checkpoint, role

    @cached_property
    def facts(self) -> Facts:
        """The text model's shapes and conventions."""
        raise NotImplementedError

    def canonical(self, stored: str) -> str | None:
        """Return the canonical name of a stored tensor; None outside the tower and in a layer of V's own."""
        raise NotImplementedError

    def outside(self, stored: str) -> str | None:
        """Return "vision tower" or "projector" for a tensor of those parts, None for any other."""
        raise NotImplementedError

    def stored(self, name: str) -> str:
        """Return the name in files. A head that is not stored is the embedding (tied)."""
        raise NotImplementedError

    def parameter(self, name: str) -> str | None:
        """Return the name of the parameter in the loaded model; None where a conversion makes it."""
        raise NotImplementedError

    def kind(self, name: str) -> str | None:
        """Return what a canonical name stands for: "matrix", "bias", "norm", ...; None for no known part."""
        raise NotImplementedError

    def in_scope(self, name: str, scope: str) -> bool:
        """Whether a scope holds this canonical name."""
        raise NotImplementedError

    def describe(self, stored: str) -> str | None:
        """Say why a tensor that no scope holds is left to V; None where it is not known."""
        raise NotImplementedError

    def region(self, name: str) -> Region | None:
        """Return the part of a stored stack that a name stands for; None for a whole tensor."""
        return None

    def explain_absence(self, name: str) -> str | None:
        """Say why other checkpoints lack this tensor, where its form in the files is the reason."""
        return None

    def header(self, name: str) -> Header:
        """Return file, dtype, shape and byte range of a tensor. Raises UserError when it is not stored."""
        header, region = self.checkpoint.header(self.stored(name)), self.region(name)
        if region is None:
            return header
        *stack, rows, columns = header.shape
        width = header.bytes // math.prod((*stack, rows))
        start = header.start + (max(region.matrix, 0) * rows + region.first) * width
        shape = (region.last - region.first, columns)
        return replace(header, shape=shape, start=start, end=start + shape[0] * width)

    def read(self, name: str, rows: slice = slice(None)) -> "Tensor":
        """Return one tensor as stored (CPU), or some of its rows; errors as `Checkpoint.read`."""
        region = self.region(name)
        if region is None:
            return self.checkpoint.read(self.stored(name), rows)
        if region.matrix < 0:
            return self.checkpoint.read(self.stored(name), slice(region.first, region.last))[rows]
        stack = self.checkpoint.read(self.stored(name), slice(region.matrix, region.matrix + 1))
        return stack[0, region.first : region.last][rows]
