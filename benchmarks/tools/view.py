"""Show an audit page in a browser: `frism view results/miniature`.

The page opens from the disk as well; served, on this machine alone, it also keeps a reviewer's marks apart
from other pages.
"""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from frism.errors import UserError, report_errors


@report_errors()
def main(
    page: Annotated[
        Path, typer.Argument(help="A results folder with a page, or a page's own folder.")
    ] = Path("results/miniature"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Serve an audit page on this machine, until Ctrl-C."""
    from benchmarks.page.serving import open_server

    if not page.is_dir():
        raise UserError(
            f"{page} is no folder: name a results folder with a page, as in frism view results/miniature."
        )
    folder = page if (page / "index.html").is_file() else page / "page"
    with open_server(folder, port) as server:
        address = f"http://{server.server_address[0]!s}:{server.server_address[1]}/"
        print(f"{folder} is at {address} (Ctrl-C ends it).", flush=True)
        if browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    typer.run(main)
