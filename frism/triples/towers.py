"""Map canonical names of a checkpoint's language tower to names in its files and in memory, and back."""

from functools import cached_property

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError, suggest
from frism.triples.architectures import ARCHITECTURES, EMBEDDING, HEAD, STORED_HEADS, Architecture
from frism.triples.facts import Facts, read_facts, read_interleaved_layers
from frism.triples.scopes import split_name


class Tower:
    """One checkpoint's tensors under canonical names. `role` is for messages only.

    Raises UserError for an architecture that is not in the table, or weights without a language model.
    """

    def __init__(self, checkpoint: Checkpoint, role: str) -> None:
        self.checkpoint, self.role = checkpoint, role
        known = ARCHITECTURES.get(checkpoint.model_type)
        if known is None:
            raise UserError(
                f"{checkpoint.folder} ({role}) has model_type '{checkpoint.model_type}', which is not "
                f"supported: use one of {', '.join(ARCHITECTURES)}."
                f"{suggest(checkpoint.model_type, ARCHITECTURES)}"
            )
        self.architecture: Architecture = known
        self.prefix = self._find_prefix()

    @cached_property
    def facts(self) -> Facts:
        """The text model's shapes and conventions."""
        return read_facts(self.checkpoint)

    @cached_property
    def names(self) -> dict[str, str]:
        """Canonical name to stored name, in stored order, of every tensor of the tower that a text model has.

        What else the tower holds (cross-attention layers) is left out. A head that is not stored because it
        is the embedding is left out too.
        """
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

    def parameter(self, name: str) -> str:
        """Return the name of the parameter in the loaded model."""
        return HEAD if name == HEAD else f"{self.architecture.module}.{self._inner(name)}"

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

    def _find_prefix(self) -> str:
        for prefix in self.architecture.stored:
            if any(name.startswith(f"{prefix}layers.") for name in self.checkpoint.tensors):
                return prefix
        raise UserError(
            f"{self.checkpoint.folder} ({self.role}) has no language model tensors "
            f"({self.architecture.stored[-1]}layers.*): copy or download its weights again."
        )
