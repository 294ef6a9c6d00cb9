"""How every command prints: as wide as the terminal, or 140 columns into a pipe; the `--json` option."""

from typing import Annotated

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def make_console() -> Console:
    """A console on stdout; a pipe has no width of its own, so tables there do not fold to 80 columns."""
    found = Console()
    return found if found.is_terminal else Console(width=140)
