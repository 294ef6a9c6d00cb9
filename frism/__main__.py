"""The command line of the merge engine: each command is a file in `frism/commands/`.

Other packages add commands under the entry point group `frism.commands`, as the benchmark does its `verify`.
"""

import logging
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from frism.checkpoints.sources import watch_sources
from frism.commands import check, export, inspect, merge, methods, spectrum

GROUP = "frism.commands"


class Commands(TyperGroup):
    """The commands of this package, then those that other installed packages register."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help page."""
        return [*super().list_commands(ctx), *sorted({entry.name for entry in entry_points(group=GROUP)})]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None for an unknown one."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = [entry for entry in entry_points(group=GROUP) if entry.name == cmd_name]
        return _command(found[0]) if found else None


def _command(entry: EntryPoint) -> Any:
    """An entry point's function as a command; one that cannot be imported says so when it is called."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    try:
        app.command(entry.name)(entry.load())
    except ImportError as error:
        message = f"error: {entry.value} cannot be imported ({error}): install what it needs."

        def missing() -> None:
            typer.echo(message, err=True)
            raise SystemExit(2)

        app.command(entry.name, help=message)(missing)
    return typer.main.get_command(app)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Merge a text-only reasoning model into a vision-language model of the same base.",
)


@app.callback()
def configure() -> None:
    """Let the log lines of this package reach stderr, and let no checkpoint change under a command."""
    watch_sources()
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("frism").setLevel(logging.INFO)


app.command("methods")(methods.list_methods)
app.command("check")(check.check_method)
app.command("inspect")(inspect.inspect_triple)
app.command("spectrum")(spectrum.spectrum)
app.command("merge")(merge.merge)
app.command("export")(export.export)


def main() -> None:
    """Run the command line (the console script `frism`)."""
    app()


if __name__ == "__main__":
    main()
