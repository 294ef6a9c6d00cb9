"""Read VizWiz-VQA (Gurari et al., CVPR 2018): photographs and questions of blind people, no answers.

Read from a mirror in one of two forms: the authors' own (`train.json` and a folder of pictures), or a data
set of the hub in parquet files (`train-*.parquet` with columns image and question), in a folder or in the
hub's cache. Questions of people who got no answer are as good as others here: telling them apart would be
reading labels.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.calibration import question_tables
from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.calibration.folder import drawn, existing, located
from benchmarks.calibration.source import CalibrationSource
from frism.errors import UserError

if TYPE_CHECKING:
    from benchmarks.study.calibration_settings import CalibrationSettings

# Below the mirror's folder: where people unpack the authors' archives.
_TABLES = ("{split}.json", "Annotations/{split}.json", "annotations/{split}.json")
_PICTURES = ("{split}", "images/{split}", "Images/{split}", "images", "Images", "")
_SHARDS = ("{split}-*.parquet", "data/{split}-*.parquet", "*/{split}/*.parquet")


def calibration(settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """Draw questions from VizWiz-VQA. Raises UserError as `benchmarks.calibration.load.load`."""
    return drawn(source(settings), settings, seed)


def source(settings: "CalibrationSettings") -> CalibrationSource:
    """Open the questions of a split, in whichever form the mirror has it."""
    split = settings.split
    folder = existing(settings.folder) if settings.dataset is None else in_cache(settings.dataset, split)
    title = f"questions of VizWiz-VQA ({split})"
    table = next((path for name in _TABLES if (path := folder / name.format(split=split)).is_file()), None)
    if table is not None:
        roots = [path for name in _PICTURES if (path := folder / name.format(split=split)).is_dir()]
        rows = question_tables.read(table)
        return CalibrationSource(rows, lambda chosen: located(rows, chosen, roots, table), title, str(table))
    globs = (sorted(folder.glob(name.format(split=split))) for name in _SHARDS)
    shards = next((paths for paths in globs if paths), [])
    if not shards:
        raise UserError(
            f"{folder} holds neither {split}.json nor {split}-*.parquet: put the {split} split of VizWiz-VQA"
            " there (docs/calibration.md says how)."
        )
    from benchmarks.calibration import parquet  # and with it pyarrow, which only this form needs

    rows = parquet.rows(shards)
    return CalibrationSource(rows, lambda chosen: parquet.unpack(shards, chosen), title, str(folder))


def in_cache(dataset: str, split: str) -> Path:
    """Return the data set's folder in the hub's cache. Raises UserError without one: nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(dataset, repo_type="dataset", local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        raise UserError(
            f"the data set {dataset} is not in the hub's cache: where there is a network run"
            f" hf download {dataset} --repo-type dataset --include '*{split}*'."
        ) from None
