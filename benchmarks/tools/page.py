"""Write the audit page of one or more finished studies: `frism page results/a results/b --out site`.

A study's own page is made by the workflow, in results/<study>/page. This makes it again, after `frism verify`
say, or joins several studies into one folder for a web host.
"""

from pathlib import Path
from typing import Annotated

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from frism.errors import UserError, report_errors


@report_errors()
def main(
    results: Annotated[
        list[Path],
        typer.Argument(help="Results folders of studies, and of `frism across` or `frism compare`."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder of the page; default, of one study: its page folder.")
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(min=1, help="Show so many questions of each study, drawn evenly; default: all."),
    ] = None,
    data_only: Annotated[
        bool,
        typer.Option(
            "--data-only", help="Write one study's data alone, for a repository whose site adds the rest."
        ),
    ] = False,
) -> None:
    """Write the audit page of finished studies as one static folder.

    Exit code 2 with one sentence when a study is not finished or a file of it is broken; an earlier page then
    stays as it was.
    """
    from benchmarks.page.site import write_data, write_page

    if out is None:
        if len(results) > 1:
            raise UserError("several studies are joined into a folder of their own: name it with --out.")
        out = results[0] / "page"
    if data_only:
        if len(results) > 1:
            raise UserError("--data-only writes the data of one study: name one results folder.")
        print(write_data(results[0], out, questions))
        return
    first = write_page(results, out, questions)
    print(f"The page is written: open {first} in a browser, or run frism view {out}.")


if __name__ == "__main__":
    typer.run(main)
