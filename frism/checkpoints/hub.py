"""Locate a checkpoint: a local folder, or a hub id with an optional revision ("owner/name@v1")."""

import re
from pathlib import Path

from frism.errors import UserError, find_reason

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# What from_pretrained reads; "*/*" keeps out copies in subfolders (original weights, other formats).
_FILES = ["*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "README.md", "LICENSE*"]
_IGNORED = ["*/*", "consolidated*"]


def locate(source: str | Path, revision: str | None = None, *, allow_pickle: bool = False) -> Path:
    """Return the local folder of a checkpoint; a hub id is downloaded unless the hub's cache has it.

    A folder of that name takes precedence over a hub id. Raises UserError when there is neither, or the hub
    refuses.
    """
    text = str(Path(source).expanduser()) if str(source).startswith("~") else str(source)
    if Path(text).is_dir():
        if revision is not None:
            raise UserError(f"{text} is a local folder, which has no revisions: leave the revision out.")
        return Path(text)
    name, _, after = text.partition("@")
    if not _HUB_ID.fullmatch(name):
        raise UserError(
            f"{text} is not a folder: give a local checkpoint, or a hub id such as owner/name@revision."
        )
    if after and revision and after != revision:
        raise UserError(
            f"{text} names the revision {after}, but the revision given is {revision}: give only one."
        )
    return _snapshot(name, after or revision, allow_pickle)


def _snapshot(name: str, revision: str | None, allow_pickle: bool) -> Path:
    # Slow to import, and of no use for local folders.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    shown = f"{name}@{revision}" if revision else name
    weights = ["*.safetensors", *(["*.bin"] if allow_pickle else [])]
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=_FILES + weights, ignore_patterns=_IGNORED
        )
    except GatedRepoError as error:
        raise UserError(f"{shown} is gated on the hub: accept its terms there and log in.") from error
    except RevisionNotFoundError as error:
        raise UserError(f"{name} has no revision {revision} on the hub: check the spelling.") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{shown} is neither a folder nor a model on the hub: check the spelling.") from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{shown} is neither a folder nor in the local hub cache, and the hub cannot be reached: "
            "give a local folder or download it first."
        ) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        reason = find_reason(error)
        raise UserError(f"{shown} cannot be downloaded ({reason}): give a local folder.") from error
    return Path(folder)
