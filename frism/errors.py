"""Tell a user in one sentence what went wrong: the error type, and how a command line shows it."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """Bad input. The message is one sentence: the file or tensor, what is wrong with it, what to do."""


def suggest(word: str, options: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the option closest to `word`, or "" when none is close."""
    closest = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f" Did you mean '{closest[0]}'?" if closest else ""


def describe_first_fault(error: "ValidationError", root: str = "the whole") -> str:
    """Return pydantic's first complaint as "field: what is wrong"; `root` stands for an empty field path."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or root
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn a UserError into "error: ..." on stderr and exit code 2; also a decorator."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
