"""Tell a user in one sentence what went wrong: the error type, and how a command line shows it."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """Bad input. The message is one sentence: the file or tensor, what is wrong with it, what to do.

    What it quotes may come from anywhere: line breaks and control characters are shown as escapes, and what
    is very long is cut in the middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shorten(make_printable(message), LONGEST))


LONGEST = 1500  # characters of a message


def make_printable(text: str) -> str:
    """Return a text with escapes for what a terminal would obey rather than show."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shorten(text: str, longest: int) -> str:
    """Return a text with its middle left out where it is longer than so many characters."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"


def find_reason(error: BaseException) -> str:
    """Return the first line of what an error says, without its full stop; its type where it says nothing."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def find_errno(error: BaseException) -> int:
    """Return the number of the system's error behind an exception; 0 for none.

    Libraries in Rust (safetensors, tokenizers) raise errors of their own and write "(os error 28)" into them.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = re.search(r"\(os\s+error\s+(\d+)\)", str(error))
    return int(found[1]) if found else 0


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
    """Turn a UserError into "error: ..." on stderr and exit code 2; also a decorator.

    Memory that runs out, and a disk that does so where no file is in hand, are told in the same way.
    """
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Exception as error:
        sentence = explain_exhaustion(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        raise SystemExit(2) from None


def explain_exhaustion(error: BaseException) -> str | None:
    """Return a sentence for an error of a machine that has no memory or no disk left; None for any other."""
    reason = make_printable(str(error).strip().partition("\n")[0].rstrip("."))
    refused = "allocate memory" in reason.lower() or "out of memory" in reason.lower()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or refused:
        detail = f" ({shorten(reason, 200)})" if reason else ""
        return f"memory ran out{detail}: give the job more, or lower engine.batch_size, and run again."
    number = find_errno(error)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        remedy = "make it writable" if number == errno.EROFS else "free some space"
        name = getattr(error, "filename", None) or "a file"
        return f"cannot write {name} ({os.strerror(number)}): {remedy} and run again."
    return None


def explain_at_exit() -> None:
    """Let what ends the process before its command begins, such as an import, be told in a sentence, too."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sentence = explain_exhaustion(error)
        if sentence is None:
            sys.__excepthook__(kind, error, trace)
        else:
            print(f"error: {sentence}", file=sys.stderr)

    sys.excepthook = tell
