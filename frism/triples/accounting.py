"""Account for every tensor of V: merged, copied by design, or skipped with a reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from frism.errors import UserError
from frism.triples.listed_tower import ListedTower
from frism.triples.scopes import KINDS
from frism.triples.triple import Triple

Fate = Literal["merged", "copied", "skipped"]


@dataclass(frozen=True)
class Entry:
    """Say what happens to one tensor of V's files; `name`: its canonical name, if a text model has it."""

    stored: str
    fate: Fate
    reason: str
    name: str | None


def account(triple: Triple, scope: str | None = None) -> list[Entry]:
    """Return one entry per tensor of V, in stored order (shard by shard, byte by byte).

    merged: in the scope. copied: outside it by design. skipped: in the language tower, without a partner.
    Raises UserError for a tensor that is none of these, or when the three do not align.
    """
    scope = scope or triple.scope
    merged = {triple.stored(name) for name in triple.names(scope)}
    return [_entry(triple, stored, scope, merged) for stored in triple.checkpoints["vlm"].tensors]


def tally(entries: Iterable[Entry]) -> dict[Fate, dict[str, int]]:
    """Count tensors per fate and reason, in the order of first appearance."""
    counts = Counter((entry.fate, entry.reason) for entry in entries)
    table: dict[Fate, dict[str, int]] = {"merged": {}, "copied": {}, "skipped": {}}
    for (fate, reason), count in counts.items():
        table[fate][reason] = count
    return table


def _entry(triple: Triple, stored: str, scope: str, merged: set[str]) -> Entry:
    tower = triple.towers["vlm"]
    name = tower.canonical(stored)
    part = tower.kind(name) if name else None
    if stored in merged and part:
        return Entry(stored, "merged", part, name)
    if outside := tower.outside(stored):
        return Entry(stored, "copied", outside, None)
    if isinstance(tower, ListedTower) and tower.interleaved_layer(stored) is not None:
        return Entry(stored, "skipped", "cross-attention layer, no partner in a text model", None)
    if part in KINDS:
        return Entry(stored, "copied", f"{part}, outside scope {scope}", name)
    if reason := tower.describe(stored):
        return Entry(stored, "copied", reason, None)
    raise UserError(
        f"{triple.checkpoints['vlm'].header(stored).file}: tensor {stored} is not a known part of a "
        f"{triple.checkpoints['vlm'].model_type}: check where this checkpoint comes from."
    )
