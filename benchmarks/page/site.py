"""Make a page of one or more studies: their data, the front end, and the libraries that it stands on."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page.folders import MARK, replace_page
from benchmarks.page.reports import is_report, name_report, write_report
from benchmarks.page.shards import format_shard
from benchmarks.page.study_data import write_study
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from frism.errors import UserError
from frism.files import explain_refusal

ROOM = Path(__file__).parent
FRONT = ROOM / "front"
VENDOR = ROOM / "vendor"
INDEX = "index.html"


def write_page(folders: Sequence[Path], out: Path, questions: int | None = None) -> Path:
    """Write the page of some results folders into `out`, whole or not at all; return its first file.

    Args:
        folders: results of studies; or what `frism across` made of several: tables and figures alone.
        questions: of every study show so many questions alone.

    Raises UserError when a study is not finished or the disk refuses.
    """
    names: list[str] = []
    for results in folders:
        name = name_report(results) if is_report(results) else StudyConfig.read(Layout(results).record).study
        if name in names:
            raise UserError(f"{results} is called {name} like another one: join results of different names.")
        names.append(name)
    with replace_page(out) as folder:
        for results in folders:
            if is_report(results):
                write_report(results, folder)
            else:
                write_study(results, folder, questions)
        finish_page(folder, names)
    return out / INDEX


def write_data(results: Path, out: Path, questions: int | None = None) -> Path:
    """Write the data of one study's page without front end, tables and figures, to be kept in a repository.

    `finish_page` makes a page of it wherever these are beside.
    """
    with replace_page(out) as folder:
        study = write_study(results, folder, questions, files=False)
        _write(folder / MARK, format_shard("studies", [study.study]))
    return out


def finish_page(folder: Path, studies: Sequence[str]) -> None:
    """Put the front end and the list of studies into a folder with data."""
    try:
        shutil.copytree(FRONT, folder / "front", dirs_exist_ok=True)
        shutil.copytree(VENDOR, folder / "vendor", dirs_exist_ok=True)
        (folder / "front" / INDEX).rename(folder / INDEX)
    except OSError as error:
        raise explain_refusal(folder, error) from error
    _write(folder / MARK, format_shard("studies", list(studies)))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise explain_refusal(path, error) from error
