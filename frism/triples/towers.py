"""Map canonical names of a checkpoint's language tower to names in its files and in memory, and back.

Architectures of the table are read by their prefixes, which takes no time; others, and names that the table
does not foresee, by the layout that transformers gives (`frism.triples.derivation`).
"""

from dataclasses import replace
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

    def index(self, name: str) -> int | None:
        """Return which matrix of a stored stack a name stands for; None for a whole tensor."""
        return None

    def header(self, name: str) -> Header:
        """Return file, dtype, shape and byte range of a tensor. Raises UserError when it is not stored."""
        header, index = self.checkpoint.header(self.stored(name)), self.index(name)
        if index is None:
            return header
        size = header.bytes // header.shape[0]
        start = header.start + index * size
        return replace(header, shape=header.shape[1:], start=start, end=start + size)

    def read(self, name: str, rows: slice = slice(None)) -> "Tensor":
        """Return one tensor as stored (CPU), or some of its rows; errors as `Checkpoint.read`."""
        index = self.index(name)
        if index is None:
            return self.checkpoint.read(self.stored(name), rows)
        return self.checkpoint.read(self.stored(name), slice(index, index + 1))[0][rows]


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

    A stored stack of matrices (experts) counts as one matrix each: "layers.0.mlp.experts.down_proj.3".
    """

    def __init__(self, checkpoint: Checkpoint, role: str, layout: Layout) -> None:
        super().__init__(checkpoint, role)
        self.layout = layout
        self.is_vlm, self.module = layout.is_vlm, layout.module
        self._stacks: dict[str, tuple[str, int]] = {}  # canonical name of a matrix -> stack's name, place
        self.names = {}
        self._places = {place.name: place for place in layout.places.values() if place.name is not None}
        for stored, place in layout.places.items():
            shape = checkpoint.tensors[stored].shape
            if place.name is None:
                continue
            if place.kind == "matrix" and len(shape) == 3:
                for index in range(shape[0]):
                    self._stacks[f"{place.name}.{index}"] = (place.name, index)
                    self.names[f"{place.name}.{index}"] = stored
            else:
                self.names[place.name] = stored

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
        return self.names.get(name, f"{self.module}.{name}")

    def parameter(self, name: str) -> str | None:
        """Return the name of the parameter in the loaded model; None where a conversion makes it."""
        place = self._place(name)
        return place.parameter if place else f"{self.module}.{name}"

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

    def index(self, name: str) -> int | None:
        """Return which matrix of a stored stack a name stands for; None for a whole tensor."""
        return self._stacks[name][1] if name in self._stacks else None

    def _place(self, name: str) -> Place | None:
        return self._places.get(self._stacks[name][0] if name in self._stacks else name)


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
            f"since {error}: use another checkpoint, or its conversion for transformers."
        ) from error
