"""Say what of a study a variant's scores depend on, beside its answers."""

from benchmarks.study.entry import Entry
from benchmarks.study.judge_settings import JudgeSettings
from benchmarks.study.question_settings import VariantPrompting
from benchmarks.study.section import Slice


class ScoreSlice(Slice):
    """Holds what the stage `score` reads."""

    benchmarks: tuple[Entry, ...]
    judge: JudgeSettings | None
    variants: dict[str, VariantPrompting]
