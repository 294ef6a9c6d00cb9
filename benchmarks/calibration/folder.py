"""Read calibration questions from any folder of pictures, with a table or with one prompt for all."""

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
    """Draw questions from a folder. Raises UserError as `benchmarks.calibration.load.load`."""
    return drawn(source(settings), settings, seed)


def source(settings: "CalibrationSettings") -> CalibrationSource:
    """Open the folder: the questions of its table, or else every picture in it and below it."""
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


def drawn(questions: CalibrationSource, settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """Draw the study's questions from a source, each with the prompt or the request of the settings."""
    chosen = questions.draw(settings.questions, seed)
    files = questions.files(chosen)
    texts = [asked(questions.rows[i].question, settings) for i in chosen]
    key = digest.of_files(files, texts, settings.max_pixels)
    limit = "" if settings.max_pixels is None else f", pictures of at most {settings.max_pixels} pixels"
    description = f"{len(chosen)} unlabelled {questions.title} of {questions.location}, seed {seed}{limit}"
    return CalibrationSet(CalibrationQuestions(files, texts, settings.max_pixels), description, key)


def asked(question: str, settings: "CalibrationSettings") -> str:
    """Return the question with the request below it, or the prompt where there is no question."""
    if not question:
        return settings.prompt
    return f"{question}\n{settings.request}" if settings.request else question


def existing(folder: str | None) -> Path:
    """Return the folder of the settings. Raises UserError when it is missing."""
    path = Path(folder or "")
    if not path.is_dir():
        raise UserError(f"calibration.folder {path} is not a folder: make it, or name another one.")
    return path


def located(
    rows: Sequence[CalibrationRow], chosen: Sequence[int], roots: Sequence[Path], table: Path
) -> list[Path]:
    """Find the picture files that some rows name, each below the first root that has it.

    Raises UserError naming the first absent picture and the table that names it, and how many are absent.
    """
    paths = [next((p for root in roots if (p := root / rows[i].image).is_file()), None) for i in chosen]
    absent = [rows[i].image for i, path in zip(chosen, paths, strict=True) if path is None]
    if absent:
        others = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise UserError(
            f"{table} names the picture {absent[0]}{others}, which is not in {roots[0]}: put it there."
        )
    return [path for path in paths if path is not None]


def _table(folder: Path, name: str | None) -> Path | None:
    if name is not None:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing, which calibration.table names: put it there.")
        return folder / name
    present = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(present) > 1:
        raise UserError(
            f"{folder} holds both {present[0].name} and {present[1].name}: name one as calibration.table."
        )
    return present[0] if present else None


def _pictures(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
