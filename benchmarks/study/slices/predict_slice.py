"""Say what of a study a variant's answers depend on, beside its recipe."""

from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.entry import Entry
from benchmarks.study.section import Slice
from benchmarks.study.triple_settings import TripleSettings
from benchmarks.study.variant_config import ServedVariant


class PredictSlice(Slice):
    """Holds what the stage `predict` reads."""

    triple: TripleSettings
    engine: EngineSettings
    benchmarks: tuple[Entry, ...]
    variants: dict[str, ServedVariant]
