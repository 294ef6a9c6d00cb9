"""List the datasets of the installed VLMEvalKit: their classes, addresses, checksums and modalities.

Only `vlmeval.dataset` itself knows them all, and importing it takes about ten seconds. A process of its own
does that once for each installed version; afterwards the table is read from the cache folder.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache

from benchmarks.registry.vlmevalkit_package import add_bare_package, hash_installation
from frism.cache import cache_folder
from frism.errors import UserError
from frism.files import atomic_write


@dataclass(frozen=True)
class Declared:
    """One dataset.

    Attributes:
        class_name: the class that VLMEvalKit chooses for the name.
        modality: "IMAGE", "VIDEO" or "TEXT".
        evaluates: the class among that one's ancestors, itself first, whose `evaluate` it has; "" for none.
        url: the address of the TSV; "" without.
    """

    name: str
    class_name: str
    modality: str
    evaluates: str
    url: str
    md5: str | None


def find(name: str) -> Declared | None:
    """Return the dataset called `name`, or None. Raises UserError when VLMEvalKit's import fails."""
    return _load_table().get(name)


def names() -> list[str]:
    """Return the names of all datasets of pictures, sorted. Raises UserError as `find`."""
    return sorted(name for name, dataset in _load_table().items() if dataset.modality == "IMAGE")


@cache
def _load_table() -> dict[str, Declared]:
    try:
        path = cache_folder() / f"vlmevalkit-{hash_installation()}.json"
    except UserError:
        return {}  # VLMEvalKit is not installed, so it knows no name
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # absent, damaged, or of an earlier form
        text = _import_in_subprocess()
    with suppress(UserError, OSError), atomic_write(path) as temporary:  # a read-only home: ask again
        temporary.write_text(text, encoding="utf-8")
    return _parse(text)


def _parse(text: str) -> dict[str, Declared]:
    return {row["name"]: Declared(**row) for row in json.loads(text)}


def _import_in_subprocess() -> str:
    """Return the table as JSON, from a process that imports all of VLMEvalKit's dataset classes."""
    print("reading the dataset names of VLMEvalKit (once, about 10 s) ...", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", __name__], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"VLMEvalKit's dataset classes cannot be imported ({reason}): install the packages of"
            " requirements.txt."
        )
    return done.stdout


def _import_table() -> list[Declared]:
    add_bare_package()
    import vlmeval.dataset

    table: dict[str, Declared] = {}
    for dataset_class in vlmeval.dataset.DATASET_CLASSES:
        owner = next((c.__name__ for c in dataset_class.__mro__ if "evaluate" in vars(c)), "")
        addresses = getattr(dataset_class, "DATASET_URL", {})
        checksums = getattr(dataset_class, "DATASET_MD5", {})
        for name in dataset_class.supported_datasets():
            url, md5 = str(addresses.get(name) or ""), checksums.get(name) or None
            entry = Declared(name, dataset_class.__name__, dataset_class.MODALITY, owner, url, md5)
            table.setdefault(name, entry)  # VLMEvalKit takes the first class that has the name
    return list(table.values())


if __name__ == "__main__":
    output, sys.stdout = sys.stdout, sys.stderr  # the import prints what it likes
    json.dump([asdict(dataset) for dataset in _import_table()], output, indent=0)
