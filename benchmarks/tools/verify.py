"""Recompute the chain behind a study's numbers, from checkpoints to tables: `frism verify results/miniature`.

python -m benchmarks.tools.verify results/miniature     (or a config: config/miniature.yaml)
Every link is computed again from what lies before it; the first that does not hold is named in one sentence
(exit code 1). No model is run: predictions are checked against the keys that weights, questions, prompts and
decoding give, and scores, tables and the summary are made again from them.
What it finds is kept in verified.json of the results folder, from where the audit page shows it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from frism.commands.console import Json, make_console
from frism.errors import UserError, report_errors

if TYPE_CHECKING:
    from benchmarks.tools.chain.chain import Chain


@report_errors()
def main(
    study: Annotated[Path, typer.Argument(help="A study's results folder, or its config.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare hashes alone: do not score or tabulate again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute a study's chain of hashes and name the first broken link.

    Exit code 1 with one sentence when a link is broken, 2 when there is no such study.
    """
    from benchmarks.tools.chain.chain import BrokenLinkError, Chain

    chain = Chain.open(study)
    links: list[tuple[str, str]] = []
    broken = None
    try:
        for name, finding in _check_links(chain, quick, show=not as_json):
            links.append((name, finding))
    except BrokenLinkError as error:
        broken = str(error)
    _keep(chain, links, broken, quick)
    if as_json:
        content = {
            "study": chain.study.study,
            "holds": broken is None,
            "broken": broken,
            "links": dict(links),
        }
        print(json.dumps(content, indent=1))
    elif broken is None:
        _show(chain.study.study, links)
    if broken is not None:
        print(f"broken: {broken}", file=sys.stderr)
        raise SystemExit(1)


def _check_links(chain: "Chain", quick: bool, show: bool) -> Iterator[tuple[str, str]]:
    """Check the links in order and yield each with its finding; name the current one on stderr."""
    from rich.console import Console

    from benchmarks.tools.chain.chain import BrokenLinkError
    from benchmarks.tools.chain.links import LINKS

    progress = Console(stderr=True)
    for link in LINKS:
        if quick and link.slow:
            continue
        if show and progress.is_terminal:
            progress.print(f"checking {link.name} ...", end="\r")
        try:
            yield link.name, link.check(chain)
        except UserError as error:
            # What a stage says of its input is the sentence to report here.
            raise BrokenLinkError(f"{link.name}: {error}") from None


def _keep(chain: "Chain", links: list[tuple[str, str]], broken: str | None, quick: bool) -> None:
    """Keep what was found, when, and of which tables, beside the results if they can be written."""
    from benchmarks.page.provenance import VERIFIED
    from frism.files import sha256_file, write_json

    content = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"), "holds": broken is None, "broken": broken,
        "quick": quick, "links": dict(links), "record": sha256_file(chain.layout.record),
        "tables": {path.stem: sha256_file(path) for path in sorted((chain.results / "tables").glob("*.csv"))},
    }  # fmt: skip
    with suppress(UserError):
        write_json(chain.results / VERIFIED, content)


def _show(name: str, links: list[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table(title=f"The chain of {name} holds", title_justify="left")
    for column in ("link", "found again"):
        table.add_column(column)
    for row in links:
        table.add_row(*row)
    make_console().print(table)


if __name__ == "__main__":
    typer.run(main)
