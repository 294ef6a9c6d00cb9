"""Unlabelled questions about pictures, from which gates are learned: VizWiz, a folder, or the miniature.

`Settings` is the `calibration` part of a study's config; `load` gives the questions. Answers and labels of a
source are dropped where its table is read: nothing that a method gets to see has a place for them.
Imports neither torch nor a picture library at module level: a plan is made without them.
"""

from collections.abc import Callable

from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.study.calibration_settings import CalibrationSettings


def load(settings: CalibrationSettings, seed: int) -> CalibrationSet:
    """The questions of the settings, drawn by `seed`.

    Raises UserError, in one sentence, for a folder that is missing or empty, a table without its columns, a
    picture that is absent or unreadable, and for fewer questions than asked for.
    """
    from benchmarks.calibration import folder, vizwiz
    from benchmarks.calibration import miniature_scenes as miniature

    sources: dict[str, Callable[[CalibrationSettings, int], CalibrationSet]] = {
        "miniature": miniature.calibration, "vizwiz": vizwiz.calibration, "folder": folder.calibration,
    }  # fmt: skip
    return sources[settings.source](settings, seed)
