"""Notice when a checkpoint is replaced under a process that works with it, and let it write nothing more.

A study runs for days, and a checkpoint's files belong to somebody else. Headers, digest and tensors are
read at different times; were the files another's in between, a result would carry the digest of weights that
it was not made with. Any change counts, a touched file too: what was read since is not known.
"""

from collections.abc import Iterable
from pathlib import Path

from frism.cache import read_file_state
from frism.errors import UserError
from frism.files import guard_writes

_states: dict[Path, str] = {}  # as a file was when this process first opened it
_watching = False


def watch_sources() -> None:
    """Watch every checkpoint that this process opens from now on: for commands, which end with an error."""
    global _watching
    if not _watching:
        _watching = True
        guard_writes(check_sources)


def forget_sources() -> None:
    """Watch nothing any more: for tests, which run many commands in one process."""
    global _watching
    _watching = False
    _states.clear()


def note_source(files: Iterable[Path]) -> None:
    """Note the state of files that are about to be read, where sources are watched."""
    if _watching:
        for path in (file.absolute() for file in files):
            if path not in _states:
                _states[path] = read_file_state(path).key


def check_sources() -> None:
    """Raise UserError when a noted file was changed, replaced or removed."""
    for path, state in _states.items():
        try:
            same = read_file_state(path).key == state
        except UserError:
            same = False
        if not same:
            raise UserError(
                f"{path} was changed while this command worked with it, so its results are dropped: leave the"
                " checkpoints as they are, and run again."
            )
