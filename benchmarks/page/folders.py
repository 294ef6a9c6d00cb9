"""Make a folder whole or not at all, in the place of an earlier page."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from frism.errors import UserError
from frism.files import explain_refusal

MARK = Path("data", "studies.js")  # a folder that has it is a page


@contextmanager
def replace_page(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its name on success; on any error it vanishes.

    Raises UserError when the disk refuses, or when `target` holds something that is no page.
    """
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file: name a folder for the page.")
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).is_file():
        raise UserError(
            f"{target} holds other things than an audit page: choose another folder, or empty it."
        )
    target = target.absolute()
    _remove_leftovers(target)
    new = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        new.mkdir(parents=True)
        yield new
        if target.exists():
            old = new.with_suffix(".old")
            target.rename(old)
            new.rename(target)
            shutil.rmtree(old)
        else:
            new.rename(target)
    except OSError as error:
        raise explain_refusal(target, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed have left beside a page."""
    for path in target.parent.glob(f".{target.name}.*.part"):
        process = path.name.removeprefix(f".{target.name}.").partition(".")[0]
        if process.isdecimal() and not Path("/proc", process).exists():
            with suppress(OSError):
                shutil.rmtree(path)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file systems differ. Raises UserError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    except OSError as error:
        raise explain_refusal(target, error) from error
