"""Write files whole or not at all, hash them, and explain in plain words why the disk refused."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frism.documents import parse_json, read_document
from frism.errors import UserError, find_errno, find_reason

_REFUSALS = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EFBIG: "the file would be larger than the system allows: raise `ulimit -f` or write smaller files",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "no permission to write there: choose another folder or change its permissions",
    errno.EPERM: "no permission to write there: choose another folder or change its permissions",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another folder",
    errno.EEXIST: "a part of that path is a file, not a folder: choose another folder",
    errno.EISDIR: "a folder of that name is in the way: remove it or choose another name",
}


_guards: list[Callable[[], None]] = []


def guard_writes(check: Callable[[], None]) -> None:
    """Call `check` before any file that this process writes gets its name; what it raises keeps it free."""
    if check not in _guards:
        _guards.append(check)


def check_guards() -> None:
    """Call what `guard_writes` was given: for files that grow, before they do."""
    for check in _guards:
        check()


def explain_refusal(path: Path, error: Exception) -> UserError:
    """Return the error that tells a user why the system does not let us write `path`."""
    reason = _REFUSALS.get(find_errno(error), getattr(error, "strerror", None) or find_reason(error))
    return UserError(f"cannot write {path}: {reason}.")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes that name, on any error it vanishes.

    The folder is made if absent, the content is on disk (fsync) before the name exists, the suffix is kept
    (for writers that go by it), and the mode follows the umask even where a library wrote 0600. Raises
    UserError when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(descriptor).st_mode & 0o777
        os.close(descriptor)
    except OSError as error:
        raise explain_refusal(path, error) from error
    try:
        yield temporary
        check_guards()
        temporary.chmod(mode)
        synchronise(temporary)
        temporary.replace(path)
        synchronise(path.parent)
    except UserError:
        raise
    except Exception as error:  # a library that wrote the file may have an error of its own
        if find_errno(error) in _REFUSALS:
            raise explain_refusal(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: str | Path) -> str:
    """Return the sha256 of a file's content, 64 hex digits. Raises UserError when it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def write_json(path: str | Path, value: Any, *, sort_keys: bool = False) -> None:
    """Write a JSON value, indented, whole or not at all. Raises UserError when the disk refuses."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=sort_keys) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises UserError when it is missing, truncated or no object."""
    value = parse_json(read_document(Path(path)), path)
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a JSON {type(value).__name__}, not an object: restore or rewrite it.")
    return value
