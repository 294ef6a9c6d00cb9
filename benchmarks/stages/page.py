"""Write the audit page of a finished study, a folder that any browser opens from the disk.

python -m benchmarks.stages.page --study results/miniature/study.json
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.page.site import write_page
from benchmarks.stages.command import StudyFile, begin
from frism.errors import report_errors


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: page/ beside the record")] = None,
) -> None:
    """Write the audit page of a study."""
    begin("page")
    write_page([study.parent], out or study.parent / "page")


if __name__ == "__main__":
    typer.run(main)
