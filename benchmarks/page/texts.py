"""Write the questions and every variant's answers in chunks: a question opens with one shard."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.page.asked import AskedBenchmark
from benchmarks.page.columns import REPEATED, TRUNCATED
from benchmarks.page.pictures import PictureFolder
from benchmarks.page.shards import ShardFolder
from benchmarks.page.spans import find_span
from benchmarks.questions.item import Item
from frism.errors import UserError

COLUMNS = ["variant", "axis", "benchmark", "index", "sample", "raw", "extracted", "rule", "correct",
           "correct_raw", "correct_judge", "truncated", "repeated", "tokens", "seconds"]  # fmt: skip
CHUNK = 400_000  # characters of a shard, about: loaded in far less than half a second
AT_ONCE = 150_000_000  # characters of answers that are held in memory at a time
SEARCHED = 1500  # characters of a prompt that the search looks at


@dataclass
class TextWriter:
    """Writes the chunks of one study.

    Attributes:
        chunks: the number of the first question of every chunk, in order.
        searched: per question, what the search looks at.
    """

    results: Path
    shards: ShardFolder
    pictures: PictureFolder
    owners: list[str]
    rules: list[str]
    chunks: list[int] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)

    def write(self, asked: Sequence[AskedBenchmark]) -> None:
        """Write all questions. Raises UserError when answers or pictures are missing."""
        path = self.results / "questions.parquet"
        try:
            with pq.ParquetFile(path) as file:
                for one in asked:
                    for places in _split(file, one):
                        self._write_part(file, one, places)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path} cannot be read ({error}): run snakemake again.") from None

    def _write_part(self, file: pq.ParquetFile, one: AskedBenchmark, places: range) -> None:
        wanted = [one.index[k] for k in places]
        answers: list[dict[str, Any]] = [{} for _ in wanted]
        numbers = {index: k for k, index in enumerate(wanted)}
        for rows in _read_rows(file, one, wanted):
            for row in rows:
                answers[numbers[row["index"]]].setdefault(row["variant"], []).append(row)
        texts: list[dict[str, Any]] = []
        size = 0
        for k, place in enumerate(places):
            question = self._describe(one, place) | self._join(answers[k])
            texts.append(question)
            size += _measure(question)
            if size > CHUNK or k == len(places) - 1:
                first = one.start + places[k + 1 - len(texts)]
                self.shards.write(f"texts/{len(self.chunks)}", texts)
                self.chunks.append(first)
                texts, size = [], 0

    def _describe(self, one: AskedBenchmark, place: int) -> dict[str, Any]:
        """Describe a question: its prompt as parts in order, its gold answer, some variants' own prompts."""
        found: dict[str, Any] = {"gold": one.gold[place]}
        if one.text:
            prompt = one.prompts[place] if one.prompts else ""
            found["prompt"] = [["user", prompt]] if prompt else []
        else:
            found["prompt"] = self._list_parts(one.items[place])
            others = {
                variant: self._list_parts(items[place])
                for variant, items in one.own_items.items()
                if items[place].content != one.items[place].content
            }
            if others:
                found["prompts"] = others
            if one.items[place].max_new_tokens is not None:
                found["limit"] = one.items[place].max_new_tokens
        said = " ".join(str(part[1]) for part in found["prompt"] if part[0] != "picture")
        self.searched.append(f"{said[:SEARCHED]} {one.gold[place][:SEARCHED]}")
        return found

    def _list_parts(self, item: Item) -> list[list[Any]]:
        """List a prompt's parts in order: ["picture", file, width, height], or [role, text]."""
        pictures = iter(self.pictures.add(item))
        return [
            ["picture", *(next(pictures) or [])] if part["type"] == "image"
            else [part.get("role", "user"), part["value"]]
            for part in item.message
        ]  # fmt: skip

    def _join(self, answers: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """Join the answers of all variants: each different one once, and whose it is, with its seconds."""
        known: dict[tuple[Any, ...], int] = {}
        listed: list[list[Any]] = []
        of: list[list[int]] = []
        seconds: list[list[float | None]] = []
        for owner in self.owners:
            mine: list[int] = []
            took: list[float | None] = []
            for row in sorted(answers.get(owner, []), key=lambda r: r.get("sample") or 0):
                key = (row["raw"], row["extracted"], row["rule"], row["correct"], row["correct_raw"],
                       row["correct_judge"], row["truncated"], row["repeated"], row["tokens"])  # fmt: skip
                if key not in known:
                    known[key] = len(listed)
                    listed.append(self._describe_answer(row))
                mine.append(known[key])
                took.append(_round(row["seconds"]))
            of.append(mine)
            seconds.append(took)
        return {"answers": listed, "of": of, "seconds": seconds}

    def _describe_answer(self, row: dict[str, Any]) -> list[Any]:
        """Describe an answer: raw, extracted, rule, its three scores, form, tokens, span."""
        rule = row["rule"]
        if rule is not None and rule not in self.rules:
            self.rules.append(rule)
        form = TRUNCATED * bool(row["truncated"]) + REPEATED * bool(row["repeated"])
        scores = [_finite(row[name]) for name in ("correct", "correct_raw", "correct_judge")]
        return [row["raw"], row["extracted"], rule, *scores, form, row["tokens"],
                find_span(row["raw"], row["extracted"])]  # fmt: skip


def _split(file: pq.ParquetFile, one: AskedBenchmark) -> Iterator[range]:
    """Split a benchmark's questions so that the answers to a part of them fit into memory."""
    whole = 0
    for number in range(file.num_row_groups):
        lengths = file.read_row_group(number, columns=["axis", "benchmark", "raw"])
        own = lengths.filter(_is_of(lengths, one))
        whole += pc.sum(pc.binary_length(own["raw"])).as_py() or 0
    parts = max(1, math.ceil(whole * len(one) / max(one.total, 1) / AT_ONCE))
    step = max(1, math.ceil(len(one) / parts))
    for start in range(0, len(one), step):
        yield range(start, min(start + step, len(one)))


def _read_rows(file: pq.ParquetFile, one: AskedBenchmark, index: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Read the answers to some questions, a list per row group."""
    names = [c for c in COLUMNS if c in file.schema_arrow.names]
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=names)
        mask = pc.and_(_is_of(group, one), pc.is_in(group["index"], value_set=pa.array(index)))
        yield [{"correct_judge": None, **row} for row in group.filter(mask).to_pylist()]


def _is_of(table: pa.Table, one: AskedBenchmark) -> pa.ChunkedArray:
    text = pc.equal(table["axis"], "text")
    return pc.and_(pc.equal(table["benchmark"], one.name), text if one.text else pc.invert(text))


def _measure(question: dict[str, Any]) -> int:
    answers = sum(len(a[0]) + 60 for a in question["answers"])
    return answers + sum(len(str(p[1])) for p in question["prompt"] if len(p) > 1) + 10 * len(question["of"])


def _round(seconds: float | None) -> float | None:
    return None if seconds is None or math.isnan(seconds) else float(f"{seconds:.4g}")


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
