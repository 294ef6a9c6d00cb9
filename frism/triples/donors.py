"""Open what may be a donor: a checkpoint, or a base with adapters on it ("base+adapter")."""

from pathlib import Path

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.hub import locate


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
