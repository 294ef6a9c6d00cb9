"""Match foreign answers to questions by index, and check by their texts that it is the same index."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.tools.foreign.answer import ForeignAnswer, ForeignFile
from frism.errors import UserError

POSITION = "position"  # the place in the other harness' data set as the place in the table
_NAMED = 5  # indices that a complaint names
_WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?")
_SHORTEST = 8  # characters of a line of the question that tell it from others


@dataclass(frozen=True)
class Question:
    """Hold one question of the benchmark: its index, and its text to compare."""

    index: str
    text: str


@dataclass(frozen=True)
class Matched:
    """Hold what was matched.

    Attributes:
        answers: by index, in the benchmark's order.
        key: the field that was the index.
        missing: indices without an answer; surplus: values that are no index of the benchmark.
        reworded: indices whose question reads otherwise in the file.
    """

    answers: dict[str, ForeignAnswer]
    key: str
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    reworded: tuple[str, ...]


def match_answers(
    file: ForeignFile, benchmark: str, questions: Sequence[Question], subset: bool = False
) -> Matched:
    """Match every answer to its question.

    An index may be written as another type ("1", 1, 1.0) where only one question can be meant. Where a file
    does not name its index, that field is taken under which most questions read as in the benchmark.

    Args:
        subset: take what both sides have; else missing and surplus indices are an error.

    Raises UserError naming missing, surplus and double indices, and where the questions are others.
    """
    if not file.answers:
        raise UserError(f"{file.path} holds no answers: export it again.")
    key, found = _choose_key(file, benchmark, questions)
    by_index: dict[str, ForeignAnswer] = {}
    double: list[str] = []
    for answer in file.answers:
        index = found[answer.place]
        if index is None:
            continue
        first = by_index.setdefault(index, answer)
        # lm-eval writes a line for every filter: the same answer again.
        if first is not answer and (file.indexed or first.text != answer.text):
            double.append(index)
    missing = [q.index for q in questions if q.index not in by_index]
    surplus = [_name(answer, key) for answer in file.answers if found[answer.place] is None]
    faults = [] if subset else [("missing", missing), ("surplus", surplus)]
    faults = [(name, listed) for name, listed in [*faults, ("double", double)] if listed]
    if faults or not by_index:
        raise UserError(_complain(file, benchmark, questions, len(by_index), faults))
    texts = _Texts(file, questions)
    answers = {q.index: by_index[q.index] for q in questions if q.index in by_index}
    reworded = [index for index, answer in answers.items() if not texts.agree(index, answer)]
    if 2 * len(reworded) > len(by_index):
        raise UserError(
            f"{file.path}, matched by {key}, asks other questions than {benchmark}"
            f" ({len(reworded)} of {len(by_index)} differ, such as {_list(reworded)}): name the benchmark"
            " that it answers, or the field with the index (--index-key)."
        )
    return Matched(answers, key, tuple(missing), tuple(dict.fromkeys(surplus)), tuple(reworded))


def _choose_key(
    file: ForeignFile, benchmark: str, questions: Sequence[Question]
) -> tuple[str, Mapping[str, str | None]]:
    """Choose the field that is the index; return it with every answer's index, None for an unknown one."""
    known = _KnownIndices(file, benchmark, questions)
    if file.indexed:
        (key,) = file.answers[0].keys
        return key, {answer.place: known.find(answer.keys[key]) for answer in file.answers}
    names = dict.fromkeys(name for answer in file.answers for name in answer.keys)
    candidates = {
        name: {a.place: known.find(a.keys[name]) if name in a.keys else None for a in file.answers}
        for name in names
    }
    candidates[POSITION] = {a.place: _find_at(questions, a.position) for a in file.answers}
    texts = _Texts(file, questions)

    def rate(found: Mapping[str, str | None]) -> tuple[int, int]:
        pairs = [(index, a) for a in file.answers if (index := found[a.place]) is not None]
        return sum(bool(a.question) and texts.agree(i, a) for i, a in pairs), len(dict(pairs))

    rated = {name: rate(found) for name, found in candidates.items()}
    best = max(rated, key=lambda name: rated[name])
    rivals = [n for n in rated if rated[n] == rated[best] and candidates[n] != candidates[best]]
    if rivals:
        raise UserError(
            f"{file.path} does not say which field is the index of {benchmark}: {best} and {rivals[0]} would"
            " both do; name one (--index-key)."
        )
    return best, candidates[best]


class _KnownIndices:
    """Looks up a benchmark's indices, also written as another type."""

    def __init__(self, file: ForeignFile, benchmark: str, questions: Iterable[Question]) -> None:
        self.file, self.benchmark = file, benchmark
        self.exact = {question.index for question in questions}
        self.alike: dict[str, list[str]] = {}
        for index in self.exact:
            self.alike.setdefault(_normalise(index), []).append(index)

    def find(self, value: str) -> str | None:
        """Find the index that a value means. Raises UserError where it could be several."""
        if value in self.exact:
            return value
        alike = self.alike.get(_normalise(value), [])
        if len(alike) > 1 and self.file.indexed:
            raise UserError(
                f"{self.file.path}: the index {value} could be {' or '.join(sorted(alike))} of"
                f" {self.benchmark}: write it as the benchmark does."
            )
        return alike[0] if len(alike) == 1 else None


class _Texts:
    """Compares the questions of a file with the benchmark's."""

    def __init__(self, file: ForeignFile, questions: Sequence[Question]) -> None:
        self.ours = {question.index: _flatten(question.text) for question in questions}
        different = {answer.question for answer in file.answers}
        counts = Counter(part for text in different for part in set(_split(text)))
        # A line of several questions (a hint, a request) tells nothing.
        self.common = {part for part, count in counts.items() if count > 1}

    def agree(self, index: str, answer: ForeignAnswer) -> bool:
        """Tell whether a question is the benchmark's, a part of it or around it; no text is no other one."""
        ours, theirs = self.ours[index], _flatten(answer.question)
        if not theirs or not ours or ours in theirs or theirs in ours:
            return True
        parts = _split(answer.question)
        return any(part in ours for part in [p for p in parts if p not in self.common] or parts)


def _split(text: str) -> list[str]:
    return [part for line in text.split("\n") if len(part := _flatten(line)) >= _SHORTEST]


def _normalise(index: str) -> str:
    """Write whole numbers alike: "1", " 1" and "1.0"."""
    text = index.strip()
    return str(int(text.partition(".")[0])) if _WHOLE.fullmatch(text) else text


def _find_at(questions: Sequence[Question], position: int | None) -> str | None:
    return questions[position].index if position is not None and 0 <= position < len(questions) else None


def _flatten(text: str) -> str:
    return " ".join(text.split())


def _complain(
    file: ForeignFile, benchmark: str, questions: Sequence[Question], matched: int,
    faults: Sequence[tuple[str, Sequence[str]]],
) -> str:  # fmt: skip
    """Write the one sentence on what does not match."""
    if not matched:
        theirs = _list([_name(answer, next(iter(answer.keys))) for answer in file.answers])
        return (
            f"{file.path} answers no question of {benchmark}: its indices are {theirs}, the benchmark's"
            f" {_list([q.index for q in questions])}; name the benchmark that it answers."
        )
    listed = ", ".join(f"{len(indices)} {name} ({_list(indices)})" for name, indices in faults)
    double = any(name == "double" for name, _ in faults)
    remedy = "keep one answer to each" if double else "complete it, or score what both have with --subset"
    return f"{file.path} answers {matched} of {len(questions)} questions of {benchmark}: {listed}; {remedy}."


def _name(answer: ForeignAnswer, key: str) -> str:
    return answer.keys.get(key) or answer.place


def _list(indices: Sequence[str]) -> str:
    unique = list(dict.fromkeys(indices))
    return ", ".join(unique[:_NAMED]) + ", ..." * (len(unique) > _NAMED)
