"""Find the TSVs of published benchmarks in a folder, check their hashes, fetch them when asked to.

A study only reads the folder: a wrong or missing file is an error there, never a download over it.
"""

import hashlib
import re
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.registry import vlmevalkit_names
from benchmarks.registry.definition import Definition
from frism.errors import UserError
from frism.files import atomic_write, explain_refusal
from frism.progress import Progress

_CHUNK = 1 << 20
_HUB = re.compile(r"https://huggingface\.co/datasets/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/(.+)")
_AGENT = {"User-Agent": "frism-benchmarks"}  # some servers refuse Python's own


@dataclass(frozen=True)
class File:
    """Describe a TSV on disk: its size in bytes and the two digests that are compared."""

    path: Path
    size: int
    sha256: str
    md5: str


def locate(definition: Definition, folder: str | Path | None) -> Path:
    """Find the TSV of a benchmark in a data folder, under its name or that of VLMEvalKit's address.

    Raises UserError, with the command that fetches it, when it is not there.
    """
    if folder is None:
        raise UserError(
            f"benchmark {definition.name} needs {definition.dataset}.tsv: name the folder that holds it"
            " (--data, or `data: {folder: ...}` in a config)."
        )
    path = _present(definition, Path(folder))
    if path is not None:
        return path
    path = Path(folder) / f"{definition.dataset}.tsv"
    raise UserError(
        f"{path} is missing: put it there, or where there is a network run"
        f" python -m benchmarks.tools.data --benchmarks {definition.name} --folder {folder}."
    )


def check(definition: Definition, path: Path) -> File:
    """Hash a TSV in one pass and compare it with what is known of it.

    What a study or definition pins (sha256: {tsv: ...}) decides alone; else VLMEvalKit's md5, if it has one.
    Raises UserError naming the file, both digests and the way out.
    """
    file = _hashed(path)
    pinned = definition.sha256.get("tsv")
    if pinned is not None:
        if pinned != file.sha256:
            raise UserError(
                f"{path} has sha256 {file.sha256}, not {pinned} as benchmark {definition.name} says: put the"
                " right file there, or name the new digest."
            )
        return file
    md5 = _address(definition)[1]
    if md5 is not None and md5 != file.md5:
        raise UserError(
            f"{path} has md5 {file.md5}, not {md5} as VLMEvalKit says: move it away and fetch it again,"
            f" or if it is the file you mean, pin it:"
            f" {{name: {definition.name}, sha256: {{tsv: {file.sha256}}}}}."
        )
    return file


def fetch(definition: Definition, folder: str | Path) -> File:
    """Return the TSV of a benchmark in `folder`; download it when it is not there, and check it.

    Raises UserError when there is no address, when the download fails, and as `check`.
    """
    present = _present(definition, Path(folder))
    if present is not None:
        return check(definition, present)
    path = Path(folder) / f"{definition.dataset}.tsv"
    url = _address(definition)[0]
    if not url.endswith(".tsv"):
        raise UserError(
            f"VLMEvalKit names no TSV to download for {definition.name}: put {path.name} into {folder}."
        )
    hub = _HUB.fullmatch(url)
    with atomic_write(path) as temporary:
        if hub:
            _from_hub(hub[1], hub[2], hub[3], temporary)
        else:
            _from_address(url, temporary)
        try:
            check(definition, temporary)
        except UserError as error:
            raise UserError(f"{url} gave another file than expected, nothing is kept: {error}") from None
    return _hashed(path)


def _present(definition: Definition, folder: Path) -> Path | None:
    path = folder / f"{definition.dataset}.tsv"
    if path.is_file():
        return path  # without a look at VLMEvalKit's names, which may take ten seconds
    published = folder / _address(definition)[0].rpartition("/")[2]
    return published if published.suffix == ".tsv" and published.is_file() else None


def _address(definition: Definition) -> tuple[str, str | None]:
    """Return VLMEvalKit's address and md5 of a dataset; ("", None) for a table that it does not know."""
    dataset = vlmevalkit_names.find(definition.dataset)
    return (dataset.url, dataset.md5) if dataset else ("", None)


def _hashed(path: Path) -> File:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): put the file there.") from error
    return File(path, size, sha256.hexdigest(), md5.hexdigest())


def _from_address(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=60) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            with target.open("wb") as stream, Progress(url.rpartition("/")[2], size >> 20, "MB") as progress:
                while chunk := answer.read(_CHUNK):
                    stream.write(chunk)
                    progress.advance((stream.tell() >> 20) - progress.count)
                received = stream.tell()
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        raise UserError(
            f"cannot fetch {url} ({error}): try again, or put the file there yourself."
        ) from error
    except OSError as error:
        raise explain_refusal(target, error) from error
    if size and received != size:
        raise UserError(f"{url} broke off after {received} of {size} bytes: run the command again.")


def _from_hub(repo: str, revision: str, name: str, target: Path) -> None:
    from huggingface_hub import hf_hub_download

    with tempfile.TemporaryDirectory(prefix=".hub-", dir=target.parent) as folder:
        try:
            path = hf_hub_download(repo, name, repo_type="dataset", revision=revision, local_dir=folder)
        except Exception as error:  # its own types, httpx's and the system's
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"cannot fetch {name} of the data set {repo} from the hub ({reason}): try again, or put"
                " the file there yourself."
            ) from error
        Path(path).replace(target)


def published_name(definition: Definition) -> str:
    """Return the name under which VLMEvalKit publishes the table: some benchmarks share one table."""
    address = _address(definition)[0].rpartition("/")[2]
    return address.removesuffix(".tsv") or definition.dataset
