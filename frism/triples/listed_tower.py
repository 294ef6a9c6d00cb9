"""Read the tower of an architecture in the table, by the prefix of its stored names: it takes no time."""

from functools import cached_property

from frism.checkpoints.checkpoint import Checkpoint
from frism.triples.architectures import EMBEDDING, HEAD, STORED_HEADS, Architecture
from frism.triples.facts import Facts, read_facts, read_interleaved_layers
from frism.triples.scopes import classify, in_scope, split_name
from frism.triples.tower import Tower


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
