"""Map canonical names of a checkpoint's language tower to names in its files and in memory, and back.

Architectures of the table are read by their prefixes, which takes no time; others, and names that the table
does not foresee, by the layout that transformers gives (`frism.triples.derivation`).
"""

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError, suggest
from frism.triples.architectures import ARCHITECTURES, Architecture
from frism.triples.derived_tower import DerivedTower
from frism.triples.layout import DerivationError, Layout, derive_layout
from frism.triples.listed_tower import ListedTower
from frism.triples.tower import Tower


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
