"""Open what may be a donor: a checkpoint, a base with adapters ("base+adapter"), or several, weighted."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.hub import locate
from frism.errors import UserError

Source = str | Path
_WEIGHTED = re.compile(r"([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)\*(.+)", re.IGNORECASE)


def open_source(source: str | Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Open a folder or hub id, or a base with adapters: "base+adapter", "base+first+second".

    Each part is a folder or a hub id; a folder whose name holds a plus counts as itself. Raises UserError as
    `Checkpoint.open` and `frism.triples.adapters.adapt`.
    """
    text = str(source)
    if "+" not in text or Path(text).expanduser().is_dir():
        return Checkpoint.open(source, allow_pickle=allow_pickle)
    base, *adapters = text.split("+")
    from frism.triples.adapters import adapt

    return adapt(Checkpoint.open(base, allow_pickle=allow_pickle), [locate(adapter) for adapter in adapters])


def split_donor(source: str) -> list[str]:
    """Return the folders or hub ids that a donor is made of, without its weight: a base and its adapters."""
    match = _WEIGHTED.fullmatch(source)
    text = match[2] if match else source
    return [text] if Path(text).expanduser().is_dir() else text.split("+")


def parse_donors(source: Source | Sequence[Source]) -> list[tuple[Source, float]]:
    """Return donors with their weights: one counts whole, several share evenly or say how ("0.3*folder").

    Raises UserError for a weight that is no number, zero, or given for some of them only.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    parsed = [match if (match := _WEIGHTED.fullmatch(str(one))) else None for one in sources]
    if not sources:
        raise UserError("there is no donor: name at least one reasoning model.")
    if not any(parsed):
        return [(one, 1 / len(sources)) for one in sources]
    if not all(parsed):
        bare = sources[parsed.index(None)]
        raise UserError(f"{bare} has no weight beside donors that have one: write WEIGHT*{bare}.")
    donors: list[tuple[Source, float]] = []
    for one, match in zip(sources, parsed, strict=True):
        assert match is not None
        try:
            weight = float(match[1])
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight) or weight == 0:
            raise UserError(f"{one}: the weight of a donor is a number other than zero.")
        donors.append((match[2], weight))
    return donors
