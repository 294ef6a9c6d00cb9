"""Any folder of pictures, with a table of questions or with one prompt for all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.calibration import digest, question_tables
from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.calibration.pictures import SUFFIXES
from benchmarks.calibration.source import CalibrationQuestions, CalibrationRow, CalibrationSource
from frism.errors import UserError

if TYPE_CHECKING:
    from benchmarks.study.calibration_settings import CalibrationSettings

TABLES = ("questions.csv", "questions.jsonl", "questions.json")


def calibration(settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """Questions drawn from a folder. Raises UserError as `benchmarks.calibration.load.load`."""
    return drawn(source(settings), settings, seed)


def source(settings: "CalibrationSettings") -> CalibrationSource:
    """The questions of the folder's table, or its pictures one by one, in any folder below."""
    folder = existing(settings.folder)
    table = _table(folder, settings.table)
    rows = question_tables.read(table) if table else [CalibrationRow(name, "") for name in _pictures(folder)]
    if not rows:
        raise UserError(
            f"the calibration folder {folder} holds no picture ({', '.join(sorted(SUFFIXES))}): put some"
            " there, or correct calibration.folder."
        )
    title = "questions" if table else "pictures"
    return CalibrationSource(
        rows, lambda chosen: located(rows, chosen, [folder], table or folder), title, str(table or folder)
    )


def drawn(found: CalibrationSource, settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """The study's questions out of a source, each with the prompt or the request that the settings say."""
    chosen = found.draw(settings.questions, seed)
    files = found.files(chosen)
    texts = [asked(found.rows[i].question, settings) for i in chosen]
    key = digest.of_files(files, texts, settings.max_pixels)
    shown = "" if settings.max_pixels is None else f", pictures of at most {settings.max_pixels} pixels"
    description = f"{len(chosen)} unlabelled {found.title} of {found.place}, seed {seed}{shown}"
    return CalibrationSet(CalibrationQuestions(files, texts, settings.max_pixels), description, key)


def asked(question: str, settings: "CalibrationSettings") -> str:
    """What is asked: the question with the request below it, or the prompt where there is no question."""
    if not question:
        return settings.prompt
    return f"{question}\n{settings.request}" if settings.request else question


def existing(folder: str | None) -> Path:
    """The folder of the settings. Raises UserError when it is not there."""
    path = Path(folder or "")
    if not path.is_dir():
        raise UserError(f"calibration.folder {path} is not a folder: make it, or name another one.")
    return path


def located(
    rows: Sequence[CalibrationRow], chosen: Sequence[int], roots: Sequence[Path], table: Path
) -> list[Path]:
    """The files of the pictures that some rows name, each below the first root that has it.

    Raises UserError naming the first absent picture and the table that names it, and how many are absent.
    """
    found = [next((p for root in roots if (p := root / rows[i].image).is_file()), None) for i in chosen]
    absent = [rows[i].image for i, path in zip(chosen, found, strict=True) if path is None]
    if absent:
        others = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise UserError(
            f"{table} names the picture {absent[0]}{others}, which is not in {roots[0]}: put it there."
        )
    return [path for path in found if path is not None]


def _table(folder: Path, named: str | None) -> Path | None:
    if named is not None:
        if not (folder / named).is_file():
            raise UserError(f"{folder / named} is missing, which calibration.table names.")
        return folder / named
    present = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(present) > 1:
        raise UserError(
            f"{folder} holds both {present[0].name} and {present[1].name}: name one as calibration.table."
        )
    return present[0] if present else None


def _pictures(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
