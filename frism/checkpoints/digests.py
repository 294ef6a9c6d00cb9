"""sha256 of large files, or of many, remembered between runs for as long as they are untouched.

Hashing a triple takes longer than merging it, and every run wants the same digests. What is remembered
belongs to a file's device, inode, size and times of last change (of content, and of anything: the latter
cannot be set by hand). A file changed in the last seconds is hashed again next time, since its times are too
coarse to tell. The memory is `sha256.json` in $FRISM_CACHE (default: `frism` in the user's cache folder);
deleting it costs time only.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from frism.errors import UserError
from frism.files import atomic_write, sha256_file

WORTH = 1 << 23  # bytes; smaller files are hashed in no time
SETTLED = 2.0  # seconds after which another change would show in the times
KEPT = 4096


class FileState(NamedTuple):
    """What shows that a file is as it was: a key without its name, and when it last changed (in seconds)."""

    key: str
    size: int
    changed: float


def file_state(path: Path) -> FileState:
    """Return the state of a file. Raises UserError when it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    return FileState(key, stat.st_size, max(stat.st_mtime, stat.st_ctime))


def remembered_sha256(path: Path) -> str:
    """Return `sha256_file(path)`. Raises UserError when the file cannot be read."""
    state = file_state(path)
    if state.size < WORTH:
        return sha256_file(path)
    return remembered(state.key, state.changed, lambda: sha256_file(path))


def remembered(key: str, changed: float, make: Callable[[], str]) -> str:
    """Return what is remembered under `key`, or what `make` says, which is kept.

    `key` holds the states of the files that `make` reads; `changed` is when one of them last changed.
    """
    if key in (memory := _recall()):
        return memory[key]
    settled = time.time() - changed > SETTLED
    digest = make()
    if settled:
        _remember(key, digest)
    return digest


def cache_folder() -> Path:
    """Where things lie that can be made again: $FRISM_CACHE, or `frism` in the user's cache folder."""
    given, user = os.environ.get("FRISM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else Path(user or Path.home() / ".cache") / "frism"


def _file() -> Path:
    return cache_folder() / "sha256.json"


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
