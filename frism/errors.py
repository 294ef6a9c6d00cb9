"""What a user did wrong, in one sentence: the error type and the way a command line shows it."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or tensor and says what to do."""


def suggest(word: str, options: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the option closest to `word`, or "" when none is close."""
    found = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f" Did you mean '{found[0]}'?" if found else ""


def describe_first_fault(error: "ValidationError", whole: str = "the whole") -> str:
    """Return pydantic's first complaint as "place: what is wrong"; `whole` stands for an empty place."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn a UserError into "error: ..." on stderr and exit code 2; also a decorator."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
