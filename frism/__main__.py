"""The command line of the merge engine: each command is a file in `frism/commands/`."""

import typer

from frism.commands import export, inspect, merge, methods

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Merge a text-only reasoning model into a vision-language model of the same base.",
)
app.command("methods")(methods.list_methods)
app.command("inspect")(inspect.inspect_triple)
app.command("merge")(merge.merge)
app.command("export")(export.export)


def main() -> None:
    """Run the command line (the console script `frism`)."""
    app()


if __name__ == "__main__":
    main()
