"""Print every command's tables as wide as the terminal, or 140 columns into a pipe; define `--json`."""

from typing import Annotated

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def make_console() -> Console:
    """Make a console on stdout: 140 columns into a pipe, whose width rich would take to be 80.

    What it prints is text: brackets in the name of a folder or a tensor are no markup.
    """
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=140, markup=False, emoji=False)
