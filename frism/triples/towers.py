"""Map canonical names of a checkpoint's language tower to names in its files and in memory, and back.

Architectures of the table are read by their prefixes, which takes no time; others, and names that the table
does not foresee, by the layout that transformers gives (`frism.triples.derivation`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.headers import Header
from frism.errors import UserError, suggest
from frism.triples.architectures import (
    ARCHITECTURES,
    EMBEDDING,
    HEAD,
    STORED_HEADS,
    Architecture,
    resolve_text_type,
)
from frism.triples.facts import Facts, read_derived_facts, read_facts, read_interleaved_layers
from frism.triples.layout import DerivationError, Layout, Place, derive_layout
from frism.triples.scopes import classify, holds, in_scope, split_name

if TYPE_CHECKING:
    from torch import Tensor

Slots = dict[str, dict[str, "Region"]]  # stack's canonical name -> canonical name of a part -> where it is


def open_tower(checkpoint: Checkpoint, role: str) -> "Tower":
    """Return a checkpoint's tower. `role` is for messages only.

    Raises UserError for an architecture that is neither in the table nor derivable, or weights without a
    language model.
    """
    known = ARCHITECTURES.get(checkpoint.model_type)
    prefix = _find_prefix(checkpoint, known) if known else None
    if known and prefix is not None:
        return ListedTower(checkpoint, role, known, prefix)
    return DerivedTower(checkpoint, role, _derive(checkpoint, role, known))


def unify_stacks(towers: Iterable["Tower"]) -> None:
    """Give matrices the same names where one checkpoint stores them apart and another as a stack."""
    derived = [tower for tower in towers if isinstance(tower, DerivedTower)]
    slots: Slots = {}
    for tower in derived:
        slots = {**tower.slots, **slots}
    for tower in derived if slots else []:
        tower.split_stacks(slots)


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


class ListedTower(Tower):
    """A tower of an architecture in the table, whose stored names begin with `prefix`."""

    def __init__(self, checkpoint: Checkpoint, role: str, architecture: Architecture, prefix: str) -> None:
        super().__init__(checkpoint, role)
        self.architecture, self.prefix = architecture, prefix
        self.is_vlm, self.module = architecture.is_vlm, architecture.module

    @cached_property
    def facts(self) -> Facts:
        """The text model's shapes and conventions."""
        return read_facts(self.checkpoint)

    @cached_property
    def names(self) -> dict[str, str]:  # type: ignore[override]
        """Canonical name to stored name, in stored order."""
        canonical = ((self.canonical(stored), stored) for stored in self.checkpoint.tensors)
        return {name: stored for name, stored in canonical if name is not None}

    def canonical(self, stored: str) -> str | None:
        """Return the canonical name of a stored tensor; None outside the tower and in a layer of V's own."""
        if stored in STORED_HEADS:
            return HEAD
        if not stored.startswith(self.prefix) or self.outside(stored):
            return None
        layer, rest = split_name(stored.removeprefix(self.prefix))
        if layer is None:
            return rest
        number = self._numbers[1].get(layer, layer)
        return None if number is None else f"layers.{number}.{rest}"

    def outside(self, stored: str) -> str | None:
        """Return "vision tower" or "projector" for a tensor of those parts, None for any other."""
        bare = stored.removeprefix("model.")
        parts = {"projector": self.architecture.projector, "vision tower": self.architecture.vision}
        return next((part for part, starts in parts.items() if starts and bare.startswith(starts)), None)

    def describe(self, stored: str) -> str | None:
        """Say why a tensor that no scope holds is left to V; None where it is not known."""
        return "rotary frequencies, which no model reads" if stored.endswith("rotary_emb.inv_freq") else None

    def interleaved_layer(self, stored: str) -> int | None:
        """Return the number of the layer that only V has (cross-attention) and this tensor lies in."""
        if not stored.startswith(self.prefix):
            return None
        layer, _ = split_name(stored.removeprefix(self.prefix))
        return layer if layer in self._interleaved else None

    def stored(self, name: str) -> str:
        """Return the name in files. A head that is not stored is the embedding (tied)."""
        if name == HEAD:
            heads = [head for head in STORED_HEADS if head in self.checkpoint.tensors]
            return heads[0] if heads else self.prefix + EMBEDDING
        return self.prefix + self._inner(name)

    def parameter(self, name: str) -> str | None:
        """Return the name of the parameter in the loaded model."""
        return HEAD if name == HEAD else f"{self.module}.{self._inner(name)}"

    def kind(self, name: str) -> str | None:
        """Return what a canonical name stands for; None for a name that no text model of the table has."""
        return classify(name)

    def in_scope(self, name: str, scope: str) -> bool:
        """Whether a scope holds this canonical name."""
        return in_scope(name, scope)

    def _inner(self, name: str) -> str:
        layer, rest = split_name(name)
        return rest if layer is None else f"layers.{self._numbers[0].get(layer, layer)}.{rest}"

    @cached_property
    def _interleaved(self) -> frozenset[int]:
        return read_interleaved_layers(self.checkpoint)

    @cached_property
    def _numbers(self) -> tuple[dict[int, int], dict[int, int | None]]:
        """Text layer to stored layer, and back (None: a layer of V's own); empty where they are equal."""
        if not self._interleaved:
            return {}, {}
        total = 1 + max(self._stored_layers())
        shared = [layer for layer in range(total) if layer not in self._interleaved]
        forth = dict(enumerate(shared))
        return forth, {**dict.fromkeys(self._interleaved), **{stored: name for name, stored in forth.items()}}

    def _stored_layers(self) -> set[int]:
        layers = {split_name(name.removeprefix(self.prefix))[0]
                  for name in self.checkpoint.tensors if name.startswith(self.prefix)}  # fmt: skip
        return {layer for layer in layers if layer is not None}


class DerivedTower(Tower):
    """A tower whose layout transformers' own class and conversions give.

    A stored stack of matrices (experts) counts as one matrix each: "layers.0.mlp.experts.down_proj.3", or by
    the names that other checkpoints store apart (`split_stacks`).
    """

    def __init__(self, checkpoint: Checkpoint, role: str, layout: Layout) -> None:
        super().__init__(checkpoint, role)
        self.layout = layout
        self.is_vlm, self.module = layout.is_vlm, layout.module
        self._regions: dict[str, tuple[str, Region]] = {}  # canonical name -> the stack's, which part of it
        self._places = {place.name: place for place in layout.places.values() if place.name is not None}
        self.names = self._list_names({})

    def split_stacks(self, slots: Slots) -> None:
        """Name the matrices of stored stacks as other checkpoints do, which store each apart."""
        self.names = self._list_names(slots)

    @property
    def slots(self) -> Slots:
        """The stacks that the loaded model has and this checkpoint stores apart, by their canonical names."""
        slots: Slots = {}
        for name, place in self._places.items():
            if place.slot is not None:
                slots.setdefault(place.slot[0], {})[name] = Region(*place.slot[1:])
        return slots

    def _list_names(self, slots: Slots) -> dict[str, str]:
        self._regions = {}
        names = {}
        for stored, place in self.layout.places.items():
            if place.name is None:
                continue
            shape = self.checkpoint.tensors[stored].shape
            found = slots.get(place.name, {}) if place.parameter else {}
            if not _covers(found.values(), shape):
                if place.kind != "matrix" or len(shape) != 3:
                    names[place.name] = stored
                    continue
                found = {f"{place.name}.{n}": Region(n, 0, shape[1]) for n in range(shape[0])}
            for name, region in sorted(found.items(), key=lambda pair: (pair[1].matrix, pair[1].first)):
                self._regions[name] = (place.name, region)
                names[name] = stored
        return names

    @cached_property
    def facts(self) -> Facts:
        """The text model's shapes and conventions."""
        return read_derived_facts(
            resolve_text_type(self.layout.text_type), self.layout.text_config, tied=HEAD not in self.names
        )

    def canonical(self, stored: str) -> str | None:
        """Return the canonical name of a stored tensor (of a stack as a whole); None outside the tower."""
        return self.layout.places[stored].name

    def outside(self, stored: str) -> str | None:
        """Return "vision tower", "audio tower" or "projector" for their tensors, None for others."""
        place = self.layout.places[stored]
        return place.kind if place.part == "outside" else None

    def describe(self, stored: str) -> str | None:
        """Say why a tensor that no scope holds is left to V."""
        place = self.layout.places[stored]
        return place.kind if place.part == "unread" else f"{place.kind}, which no scope holds"

    def stored(self, name: str) -> str:
        """Return the name in files. A head that is not stored is the embedding (tied)."""
        if name == HEAD and HEAD not in self.names:
            return self.names.get(EMBEDDING, EMBEDDING)
        return self.names.get(name, self._in_module(name))

    def parameter(self, name: str) -> str | None:
        """Return the name of the parameter in the loaded model; None where a conversion makes it."""
        place = self._place(name)
        return place.parameter if place else self._in_module(name)

    def target(self, name: str) -> str | None:
        """Return the parameter that a conversion fills from this tensor and others; None if there is none."""
        place = self._place(name)
        return place.target if place else None

    def kind(self, name: str) -> str | None:
        """Return what a canonical name stands for."""
        place = self._place(name)
        return place.kind if place else None

    def in_scope(self, name: str, scope: str) -> bool:
        """Whether a scope holds this canonical name."""
        return holds(scope, self.kind(name)) and len(self.header(name).shape) <= 2

    def region(self, name: str) -> Region | None:
        """Return the part of a stored stack that a name stands for; None for a whole tensor."""
        return self._regions[name][1] if name in self._regions else None

    def explain_absence(self, name: str) -> str | None:
        """Say why other checkpoints lack this tensor, where its form in the files is the reason."""
        place = self._place(name)
        if place is None or place.parameter is not None or name not in self._regions:
            return None
        return (
            f"{self.checkpoint.folder} ({self.role}) stores {self.stored(name)} in another form than its "
            "class has it, so that its matrices cannot be matched one by one: load it with transformers and "
            "save it with save_pretrained(save_original_format=False)."
        )

    def _in_module(self, name: str) -> str:
        return f"{self.module}.{name}".removeprefix(".")

    def _place(self, name: str) -> Place | None:
        return self._places.get(self._regions[name][0] if name in self._regions else name)


def _covers(regions: Iterable[Region], shape: tuple[int, ...]) -> bool:
    """Whether regions are all of a matrix, or stack of matrices, of this shape, each row once."""
    if len(shape) not in (2, 3):
        return False
    ends = {(n, 0) for n in (range(shape[0]) if len(shape) == 3 else [-1])}
    for region in sorted(regions, key=lambda region: (region.matrix, region.first)):
        if (region.matrix, region.first) not in ends:
            return False
        ends.remove((region.matrix, region.first))
        ends.add((region.matrix, region.last))
    return {last for _, last in ends} == {shape[-2]}


def _find_prefix(checkpoint: Checkpoint, architecture: Architecture) -> str | None:
    """Return the table's prefix that the stored names have, None when they have none of them."""
    for prefix in architecture.stored:
        if any(name.startswith(f"{prefix}layers.") for name in checkpoint.tensors):
            return prefix
    return None


def _derive(checkpoint: Checkpoint, role: str, known: Architecture | None) -> Layout:
    try:
        return derive_layout(checkpoint)
    except DerivationError as error:
        if known is not None:
            raise UserError(
                f"{checkpoint.folder} ({role}) has no language model tensors "
                f"({known.stored[-1]}layers.*): copy or download its weights again."
            ) from error
        if error.unknown:
            raise UserError(
                f"{checkpoint.folder} ({role}) has model_type '{checkpoint.model_type}', which is not "
                f"supported: use one of {', '.join(ARCHITECTURES)}."
                f"{suggest(checkpoint.model_type, ARCHITECTURES)}"
            ) from error
        raise UserError(
            f"{checkpoint.folder} ({role}) has model_type '{checkpoint.model_type}', which is not supported, "
            f"since {error}: use another model."
        ) from error
