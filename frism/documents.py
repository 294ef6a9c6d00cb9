"""Read JSON and YAML that may be damaged or hostile: refused in one sentence, in bounded memory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frism.errors import UserError

LARGEST = 1 << 30  # bytes of a document; the largest real ones are tokenizers and indices of some megabytes
MOST = 1_000_000  # values of one, each counted wherever an alias of YAML repeats it
DEEPEST = 100  # levels of values in values
LONGEST_INTEGER = 1024  # bits


def read_document(path: Path, remedy: str = "restore or rewrite it") -> str:
    """Return a file's text. Raises UserError when it is missing, no plain file, too large or not UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file that can be read to an end: name another.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST >> 30} GiB, which no such file is: {remedy}.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason}): {remedy}.") from error
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def parse_json(text: str, path: object, remedy: str = "restore or rewrite it") -> Any:
    """Return the value of a JSON text. Raises UserError about `path` when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): {remedy}.") from error
    check_plain(value, path)
    return value


def parse_yaml(text: str, path: object, remedy: str = "correct it") -> Any:
    """Return the value of a YAML text of plain values. Raises UserError about `path` when it is none."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except Exception as error:  # a tag's constructor raises whatever its text makes it meet
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path} is not valid YAML ({reason}): {remedy}.") from error
    check_plain(value, path)
    return value


def check_plain(value: Any, where: object) -> None:
    """Raise UserError, about `where`, for a value that cannot be written as JSON in reasonable room.

    YAML can say much in few bytes: values that hold themselves, or that repeat others a billion times.
    """
    rest: list[tuple[Any, int]] = [(value, 0)]
    count = 0
    while rest:
        node, depth = rest.pop()
        count += 1
        if count > MOST:
            raise UserError(f"{where} says more than {MOST:,} values: split it, or drop aliases (*name).")
        if depth > DEEPEST:
            raise UserError(
                f"{where} nests values more than {DEEPEST} deep, or one holds itself: flatten it."
            )
        if isinstance(node, str):
            _check_text(node, where)
        elif isinstance(node, int) and node.bit_length() > LONGEST_INTEGER:
            raise UserError(f"{where} holds a number of more than {LONGEST_INTEGER} bits: correct it.")
        elif isinstance(node, Mapping):
            for key, inner in node.items():
                if not isinstance(key, str):
                    raise UserError(f"{where}: the key {key!r} is no text: put it in quotes.")
                _check_text(key, where)
                rest.append((inner, depth + 1))
        elif isinstance(node, list | tuple | set):
            rest += [(inner, depth + 1) for inner in node]


def _check_text(text: str, where: object) -> None:
    if "\0" in text:
        raise UserError(f"{where} holds a NUL character: delete it.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{where} holds half a character (a lone surrogate): delete it.") from None
