"""Hash large files once: remember their sha256 between runs, for as long as they are untouched.

Hashing a triple takes longer than merging it, and every run wants the same digests. An entry belongs to a
file's device, inode, size and times of last change (of content, and of anything: the latter cannot be set by
hand). A file changed in the last seconds is hashed again next time, since its times are too coarse to tell.
The entries are in `sha256.json` in the cache folder (`frism.cache`); deleting it costs time only.
"""

from pathlib import Path

from frism.cache import read_file_state, remember
from frism.files import sha256_file

MIN_BYTES = 1 << 23  # smaller files are hashed in no time


def recall_sha256(path: Path) -> str:
    """Return `sha256_file(path)`. Raises UserError when the file cannot be read."""
    state = read_file_state(path)
    if state.size < MIN_BYTES:
        return sha256_file(path)
    return remember(state.key, state.changed, lambda: sha256_file(path))
