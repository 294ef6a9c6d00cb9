"""sha256 of large files, remembered between runs for as long as a file is untouched.

Hashing a triple takes longer than merging it, and every run wants the same digests. What is remembered
belongs to a file's device, inode, size and times of last change (of content, and of anything: the latter
cannot be set by hand). A file changed in the last seconds is hashed again next time, since its times are too
coarse to tell. The memory is `sha256.json` in $FRISM_CACHE (default: `frism` in the user's cache folder);
deleting it costs time only.
"""

import json
import os
import time
from pathlib import Path

from frism.errors import UserError
from frism.files import atomic_write, sha256_file

WORTH = 1 << 23  # bytes; smaller files are hashed in no time
SETTLED = 2.0  # seconds after which another change would show in the times
KEPT = 4096


def remembered_sha256(path: Path) -> str:
    """Return `sha256_file(path)`. Raises UserError when the file cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    if stat.st_size < WORTH:
        return sha256_file(path)
    state = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    if state in (memory := _recall()):
        return memory[state]
    settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED
    digest = sha256_file(path)
    if settled:
        _remember(state, digest)
    return digest


def _file() -> Path:
    given, user = os.environ.get("FRISM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path(user or Path.home() / ".cache") / "frism") / "sha256.json"


def _recall() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(state: str, digest: str) -> None:
    """Add one entry. Two processes at a time may lose each other's: it is only a memory."""
    memory = _recall() | {state: digest}
    try:
        with atomic_write(_file()) as temporary:
            temporary.write_text(json.dumps(dict(list(memory.items())[-KEPT:]), indent=0), encoding="utf-8")
    except (UserError, OSError):
        pass  # a read-only home: hash again next time
