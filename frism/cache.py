"""Remember what takes long to compute about files, for as long as the files are untouched."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from frism.errors import UserError
from frism.files import atomic_write

SETTLE_SECONDS = 2.0  # seconds after which another change would show in the times


MAX_ENTRIES = 4096


class FileState(NamedTuple):
    """What shows that a file is as it was: a key without its name, and when it last changed (in seconds)."""

    key: str
    size: int
    changed: float


def read_file_state(path: Path) -> FileState:
    """Return the state of a file. Raises UserError when it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    return FileState(key, stat.st_size, max(stat.st_mtime, stat.st_ctime))


def remember(key: str, changed: float, make: Callable[[], str]) -> str:
    """Return what is remembered under `key`, or what `make` says, which is kept.

    `key` holds the states of the files that `make` reads; `changed` is when one of them last changed.
    """
    if key in (memory := _read_entries()):
        return memory[key]
    settled = time.time() - changed > SETTLE_SECONDS
    digest = make()
    if settled:
        _write_entry(key, digest)
    return digest


def cache_folder() -> Path:
    """Where things lie that can be made again: $FRISM_CACHE, or `frism` in the user's cache folder."""
    given, user = os.environ.get("FRISM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else Path(user or Path.home() / ".cache") / "frism"


def _file() -> Path:
    return cache_folder() / "sha256.json"


def _read_entries() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_entry(state: str, digest: str) -> None:
    """Add one entry. Two processes at a time may lose each other's: it is only a memory."""
    memory = _read_entries() | {state: digest}
    try:
        with atomic_write(_file()) as temporary:
            temporary.write_text(
                json.dumps(dict(list(memory.items())[-MAX_ENTRIES:]), indent=0), encoding="utf-8"
            )
    except (UserError, OSError):
        pass  # a read-only home: hash again next time
