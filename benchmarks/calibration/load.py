"""Load the unlabelled questions from which gates are learned: VizWiz, a folder, or the miniature.

Answers and labels of a source are dropped where its table is read: nothing that a method gets has a field for
them. Imports neither torch nor a picture library at module level: a plan is made without them.
"""

from collections.abc import Callable

from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.study.calibration_settings import CalibrationSettings


def load(settings: CalibrationSettings, seed: int) -> CalibrationSet:
    """Load the questions of the settings, drawn by `seed`.

    Raises UserError, in one sentence, for a folder that is missing or empty, a table without its columns, a
    picture that is absent or unreadable, and for fewer questions than asked for.
    """
    from benchmarks.calibration import folder, miniature_scenes, vizwiz

    sources: dict[str, Callable[[CalibrationSettings, int], CalibrationSet]] = {
        "miniature": miniature_scenes.calibration,
        "vizwiz": vizwiz.calibration,
        "folder": folder.calibration,
    }
    return sources[settings.source](settings, seed)
