"""Load the data of an lm-eval task from a local mirror or the hub's cache, never downloaded; files hashed.

A mirror is a folder with a folder per data set, laid out as on the hub:
    hf download --repo-type dataset openai/gsm8k --local-dir MIRROR/openai/gsm8k
Whatever `datasets` reads will do: parquet, JSON (lines), CSV. The files are read anew each time: the Arrow
copies that `datasets` keeps are recognised by names and times, not by content.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frism.errors import UserError, find_reason
from frism.files import sha256_file


def load_data(
    path: str, name: str | None, split: str, mirror: Path | None, options: Mapping[str, Any] | None = None
) -> tuple[Any, dict[str, str]]:
    """Load one split of a data set as a `datasets.Dataset`, with the sha256 of the files it came from.

    Args:
        path, name: the data set on the hub and its configuration: "openai/gsm8k", "main".
        mirror: the folder that stands for the hub, or None for the hub's cache on this machine.
        options: further arguments of the task for `datasets.load_dataset`.

    Raises UserError when the data are not there or cannot be read. Files of the cache have no digests.
    """
    import datasets

    datasets.disable_progress_bars()
    keywords = {k: v for k, v in (options or {}).items() if k != "trust_remote_code"}
    if mirror is None:
        try:
            with _stay_offline(datasets):
                return datasets.load_dataset(path, name, split=split, **keywords), {}
        except Exception as error:  # a dozen types, of three libraries
            raise UserError(
                f"the data of {path} are not in the hub's cache ({find_reason(error)}): mirror them with"
                f" `hf download --repo-type dataset {path} --local-dir MIRROR/{path}` and name the mirror as"
                " data.folder."
            ) from error
    root = mirror / path
    if not root.is_dir():
        raise UserError(
            f"{mirror} holds no {path}: fetch it with `hf download --repo-type dataset {path} --local-dir"
            f" {root}`."
        )
    with tempfile.TemporaryDirectory(prefix="data-") as cache:
        try:
            builder = _find_builder(datasets, root, name, {**keywords, "cache_dir": cache})
            files = sorted({str(file) for file in builder.config.data_files[split]})
            # That split alone: MMLU's training questions take longer to unpack than its test to answer.
            dataset = datasets.load_dataset(
                builder.name, data_files={split: files}, split=split, cache_dir=cache, keep_in_memory=True
            )
        except Exception as error:
            raise UserError(
                f"{root} holds no readable split '{split}'{f' of {name}' if name else ''}"
                f" ({find_reason(error)}): download the data set again."
            ) from error
    return dataset, {_name_file(Path(file), mirror, path, name): sha256_file(file) for file in files}


def _name_file(file: Path, mirror: Path, path: str, name: str | None) -> str:
    """Name a data file by its place in the mirror, whose folders may be links to others."""
    for place in filter(None, (f"{path}/{name}" if name else None, path, ".")):
        folder = (mirror / place).resolve()
        if file.resolve().is_relative_to(folder):
            return str(Path(place, file.resolve().relative_to(folder)))
        if file.is_relative_to(folder):  # the file itself is a link
            return str(Path(place, file.relative_to(folder)))
    return f"{path}/{file.name}"


@contextmanager
def _stay_offline(datasets: Any) -> Iterator[None]:
    """Make `datasets` look into its cache alone, whatever the environment says."""
    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _find_builder(datasets: Any, root: Path, name: str | None, keywords: dict[str, Any]) -> Any:
    """Find the configuration `name` as the data set's card declares it, else the folder of that name."""
    root = root.resolve()
    try:
        return datasets.load_dataset_builder(str(root), name, **keywords)
    except (ValueError, FileNotFoundError):  # the latter: a folder that is a link is not looked into
        if name is None or not (root / name).is_dir():
            raise
        return datasets.load_dataset_builder(str(root / name), **keywords)
