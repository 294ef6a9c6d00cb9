"""Say what of a study the text column depends on, beside a variant's recipe."""

from pydantic import Field

from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.entry import Entry
from benchmarks.study.question_settings import DataSettings, Number
from benchmarks.study.section import Slice
from benchmarks.study.triple_settings import TripleSettings


class TextNumber(Slice):
    """Holds the number of questions per text benchmark."""

    text: Number


class TextSlice(Slice):
    """Holds what the stage `text` reads."""

    seed: int
    triple: TripleSettings
    engine: EngineSettings
    text: tuple[Entry, ...]
    text_of: str = Field("all", exclude_if=lambda value: value == "all")
    questions: TextNumber
    data: DataSettings
