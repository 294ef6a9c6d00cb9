"""Find the cache folder, and remember in it what takes long to compute about files."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from frism.errors import UserError
from frism.files import atomic_write

SETTLE_SECONDS = 2.0  # after its last change, until another change must show in a file's times
MAX_ENTRIES = 4096


class FileState(NamedTuple):
    """Identify a file's content without reading it.

    Attributes:
        key: device, inode, size and times of last change; not the name.
        size: in bytes.
        changed: when it last changed, in seconds.
    """

    key: str
    size: int
    changed: float


def cache_folder() -> Path:
    """Return where things lie that can be made again: $FRISM_CACHE, or `frism` in the user's cache folder."""
    given, user = os.environ.get("FRISM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else Path(user or Path.home() / ".cache") / "frism"


def read_file_state(path: Path) -> FileState:
    """Return the state of a file. Raises UserError when it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    return FileState(key, stat.st_size, max(stat.st_mtime, stat.st_ctime))


def remember(key: str, changed: float, compute: Callable[[], str]) -> str:
    """Return the text that the cache holds under `key`; else compute it and store it there.

    `key` holds the states of the files that `compute` reads; `changed` is when one of them last changed.
    """
    entries = _read_entries()
    if key in entries:
        return entries[key]
    settled = time.time() - changed > SETTLE_SECONDS
    value = compute()
    if settled:
        _write_entry(key, value)
    return value


def _path() -> Path:
    return cache_folder() / "sha256.json"


def _read_entries() -> dict[str, str]:
    try:
        entries = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_entry(key: str, value: str) -> None:
    """Add one entry. Two processes at a time may lose each other's, which costs time only."""
    entries = list((_read_entries() | {key: value}).items())[-MAX_ENTRIES:]
    try:
        with atomic_write(_path()) as temporary:
            temporary.write_text(json.dumps(dict(entries), indent=0), encoding="utf-8")
    except (UserError, OSError):
        pass  # a read-only home: compute it again next time
