"""Remember answers between calls of Snakemake, so that a plan neither imports torch nor hashes gigabytes.

An answer is kept under a digest of all that it depends on; what fails is not kept and is asked again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(".snakemake/remembered")


def remember(dependencies: object, compute: Callable[[], Any], folder: Path = FOLDER) -> Any:
    """Return what `compute()` returns (JSON), from the disk if computed before for equal `dependencies`."""
    path = folder / hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:32]
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(value), encoding="utf-8")
    scratch.replace(path)
    return value


def read_states(folders: Iterable[str]) -> list[list[object]]:
    """Return path, size and times of every file directly in `folders`; equal states mean equal content."""
    files = (f for folder in folders if Path(folder).is_dir() for f in sorted(Path(folder).iterdir()))
    return [[str(f), (s := f.stat()).st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for f in files]
