"""Store predictions on disk: JSON lines, only ever appended to, on the disk after every batch."""

import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.answering.failures import Tolerance
from benchmarks.answering.keys import digest_json, get_provenance_path
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from frism.errors import UserError
from frism.files import atomic_write, check_guards

log = logging.getLogger(__name__)
MOST = 1 << 40  # tokens of an answer, or samples of a question
AGAIN = "delete it and run python -m benchmarks.stages.predict again"


@dataclass(frozen=True)
class Prediction:
    """Holds one answer: the text as decoded, its length in tokens (without the end token), whether it was cut
    at the token limit, and its share of the batch's wall time.

    `failure` is the kind of the failure (`benchmarks.questions.unanswerable`) of a question that could not be
    answered, whose text is empty, and `reason` its sentence; "" for an answer.
    """

    item: Item
    key: str
    raw: str
    tokens: int
    truncated: bool
    seconds: float
    failure: str = ""
    reason: str = ""

    @classmethod
    def failed(cls, item: Item, key: str, cause: UnanswerableError) -> "Prediction":
        """Make the prediction of a question that could not be answered; say so in the log."""
        log.warning("%s, question %s counts as unanswered: %s", item.benchmark, item.index, cause)
        return cls(item, key, "", 0, False, 0.0, cause.kind, str(cause))


@dataclass(frozen=True)
class StoredPrediction:
    """Holds one stored prediction.

    `key` identifies everything that it depends on, `item` the question; `sum` is 16 hex digits of all other
    fields. Of an answer made elsewhere tokens, truncated and seconds may be unknown: None. `failure` and
    `reason` are written for questions alone that could not be answered, `sample` for answers of which a
    question has several.
    """

    key: str
    benchmark: str
    index: str
    item: str
    raw: str
    tokens: int | None
    truncated: bool | None
    seconds: float | None
    failure: str = ""
    reason: str = ""
    sample: int | None = None
    sum: str = ""

    @classmethod
    def of(cls, prediction: Prediction) -> "StoredPrediction":
        """Make the line of an engine's prediction."""
        item, seconds = prediction.item, round(prediction.seconds, 6)
        fields = {
            "key": prediction.key,
            "benchmark": item.benchmark,
            "index": item.index,
            "item": item.content,
            "raw": prediction.raw,
            "tokens": prediction.tokens,
            "truncated": prediction.truncated,
            "seconds": seconds,
            **({"failure": prediction.failure, "reason": prediction.reason} if prediction.failure else {}),
            **({} if item.sample is None else {"sample": item.sample}),
        }
        return cls(**fields, sum=compute_checksum(fields))  # type: ignore[arg-type]

    def find_fault(self) -> str:
        """Name a field whose value no answer has; "" where there is none."""
        texts = ("key", "benchmark", "index", "item", "raw", "failure", "reason")
        sound = {name: isinstance(getattr(self, name), str) for name in texts}
        sound["tokens"] = self.tokens is None or (type(self.tokens) is int and 0 <= self.tokens <= MOST)
        sound["truncated"] = self.truncated is None or isinstance(self.truncated, bool)
        number = type(self.seconds) in (int, float)
        sound["seconds"] = self.seconds is None or (number and 0 <= float(self.seconds) < float("inf"))
        sound["sample"] = self.sample is None or (type(self.sample) is int and 0 <= self.sample <= MOST)
        return next((f"{name} is {getattr(self, name)!r}" for name, good in sound.items() if not good), "")

    def text(self) -> str:
        """Return one line of JSON."""
        return json.dumps(_leave_out_unset(vars(self)), ensure_ascii=False) + "\n"


def compute_checksum(fields: Mapping[str, Any]) -> str:
    """Return 16 hex digits of a line's fields; `sum` itself does not count."""
    held = _leave_out_unset(fields)
    return digest_json({name: value for name, value in held.items() if name != "sum"})[:16]


def _leave_out_unset(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what only failures and samples have, so that other lines are what they were without any."""
    unset = {"failure": "", "reason": "", "sample": None}
    return {name: value for name, value in fields.items() if name not in unset or value != unset[name]}


def read_predictions(path: str | Path) -> list[StoredPrediction]:
    """Return all predictions of a file, in its order; a last line that was cut short is left out.

    Raises UserError when the file is missing or another line is broken.
    """
    return list(_parse(Path(path), _read_text(Path(path))))


class PredictionStore:
    """Holds the predictions of one run. Use `open_store`.

    Attributes:
        done: keys that are already stored.
        dropped: how many lines of other keys were found and removed.
        failed: the stored predictions of questions that could not be answered.
    """

    def __init__(self, path: Path, wanted: Collection[str], tolerance: Tolerance) -> None:
        self.path, self._tolerance = path, tolerance
        content = _read_text(path) if path.is_file() else ""  # a device would be read for ever
        wanted_lines: dict[str, StoredPrediction] = {}
        lines = list(_parse(path, content))
        for line in lines:
            if line.key in wanted:
                wanted_lines.setdefault(line.key, line)
        self.dropped = len(lines) - len(wanted_lines)
        wanted_lines = _leave_out_exceeded(wanted_lines, tolerance)
        self.done = set(wanted_lines)
        self.failed = [line for line in wanted_lines.values() if line.failure]
        text = "".join(line.text() for line in wanted_lines.values())
        if text != content:
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self._stream: IO[str] = path.open("a", encoding="utf-8")

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Store those of a batch that are not there yet; they are on the disk when this returns.

        Raises UserError when the disk refuses, and when too many questions of a benchmark failed.
        """
        check_guards()
        new = [StoredPrediction.of(p) for p in predictions if p.key not in self.done]
        try:
            self._stream.write("".join(line.text() for line in new))
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self.path} ({error.strerror}): make room and run again."
            ) from error
        self.done.update(line.key for line in new)
        self.failed += [line for line in new if line.failure]
        self._tolerance.check(self.failed)

    def close(self) -> None:
        with suppress(OSError):  # what `append` could not write is still in the buffer, and was reported
            self._stream.close()


def publish(journal: Path, out: Path) -> None:
    """Copy a complete journal and its provenance to where other stages read them.

    The journal itself is nobody's output: Snakemake deletes the outputs of jobs that were cut off.
    """
    for source, copy in ((get_provenance_path(journal), get_provenance_path(out)), (journal, out)):
        with atomic_write(copy) as temporary:
            shutil.copyfile(source, temporary)


def is_complete(path: Path, wanted: Collection[str], tolerance: Tolerance) -> bool:
    """Tell whether a store in `path` would hold an answer for every key; nothing is written.

    Raises UserError when the file is missing or broken.
    """
    lines = {line.key: line for line in read_predictions(path) if line.key in wanted}
    return _leave_out_exceeded(lines, tolerance).keys() == set(wanted)


def _leave_out_exceeded(
    lines: Mapping[str, StoredPrediction], tolerance: Tolerance
) -> dict[str, StoredPrediction]:
    """Leave out the failures of benchmarks of which more failed than may; they are asked again."""
    again = tolerance.find_exceeded(lines.values())
    return {key: line for key, line in lines.items() if not (line.failure and line.benchmark in again)}


@contextmanager
def open_store(
    path: str | Path, wanted: Collection[str], tolerance: Tolerance | None = None
) -> Iterator[PredictionStore]:
    """Open the store in `path` for predictions of the keys `wanted`.

    Lines of other keys (other weights, recipe, prompt, data, decoding) are removed, and so are doubles
    and a cut last line. Of a benchmark of which more questions failed than `tolerance` lets (without it:
    any), these are removed, too, and so are asked again. Raises UserError when the file is broken or cannot
    be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = PredictionStore(path, wanted, tolerance or Tolerance(None, {}))
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): choose a folder that you may write to."
        ) from error
    try:
        yield store
    finally:
        store.close()


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror or error}): run python -m benchmarks.stages.predict."
        ) from error


def _parse(path: Path, content: str) -> Iterator[StoredPrediction]:
    lines = content.split("\n")
    lines.pop()  # after the last newline: nothing, or a line that was cut
    for number, text in enumerate(lines, 1):
        try:
            line = StoredPrediction(**json.loads(text))
            checksum = compute_checksum(vars(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path}, line {number} is not a prediction ({error}): {AGAIN}.") from None
        if checksum != line.sum:
            raise UserError(f"{path}, line {number} was changed after it was written: {AGAIN}.")
        if fault := line.find_fault():
            raise UserError(f"{path}, line {number} is not a prediction ({fault}): {AGAIN}.")
        yield line
