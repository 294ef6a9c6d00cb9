"""Warn of what may spoil a merge although the three checkpoints align."""

import numpy as np

from frism.checkpoints.reading import SourceFiles, byte_range
from frism.merging.backends import NumpyBackend
from frism.triples.triple import Triple


def find_warnings(triple: Triple, scope: str) -> list[str]:
    """Return a sentence for RoPE frequencies that differ and for R equal to B; stop reading early."""
    sentences = [difference.explained for difference in triple.differences() if difference.rotary]
    if _lrm_equals_base(triple, scope):
        sentences.append("R equals B in every tensor of the scope: there is no task vector tau_R to merge.")
    return sentences


def _lrm_equals_base(triple: Triple, scope: str) -> bool:
    """Tell whether R has B's values in every tensor of the scope."""
    backend = NumpyBackend()
    with SourceFiles() as files:
        for name in triple.names(scope):
            size = triple.header("lrm", name).values
            if triple.blended:  # each of them would have to equal B
                return False
            for first in range(0, size, backend.piece):
                piece = (name, first, min(first + backend.piece, size))
                base, lrm = (_read_piece(files, backend, triple, role, *piece) for role in ("base", "lrm"))
                if not np.array_equal(base, lrm):
                    return False
    return True


def _read_piece(
    files: SourceFiles, backend: NumpyBackend, triple: Triple, role: str, name: str, first: int, last: int
) -> np.ndarray:
    header = triple.header(role, name)
    start, size = byte_range(header, first, last)
    buffer, handle = backend.allocate(size)
    files.read(header.file, start, buffer)
    return backend.widen(handle, header.dtype, (last - first,))
