"""List the questions that a page shows, in one order for all variants: benchmarks, then text tasks."""

import csv
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.page.text_prompts import list_prompts
from benchmarks.questions.item import DEFINITIONS, Item
from benchmarks.questions.reading import load_items
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.results import get_heading
from frism.errors import UserError
from frism.files import read_json

log = logging.getLogger(__name__)
TEXT = "text:"  # begins the name of a text task in links: it may be called like a benchmark
LIGHT = ["benchmark", "axis", "group", "index", "cluster", "answer"]
# Columns of VLMEvalKit's tables that say what kind of question one is; the first that a table has counts.
CATEGORIES = ("category", "l2-category", "l2_category", "subcategory", "sub-category", "subfield", "task",
              "capability", "type", "question_type", "skill", "skills")  # fmt: skip
MOST_CATEGORIES = 200  # of one benchmark: a column with more of them does not sort questions


@dataclass(frozen=True)
class AskedBenchmark:
    """Holds the questions of one benchmark, or of one text task.

    Attributes:
        key: its name in links.
        kept: the positions, among all its questions, of those that the page shows.
        total: how many questions it has.
        index, cluster, category, gold: of the questions that are shown.
        items: their prompts with pictures, and by variant those of variants that are asked otherwise; the
            text of a text task.
    """

    key: str
    name: str
    title: str
    axis: str
    heading: str
    start: int
    total: int
    kept: np.ndarray
    index: list[str]
    cluster: list[str]
    category: list[str]
    gold: list[str]
    items: list[Item] = field(default_factory=list)
    own_items: dict[str, list[Item]] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)

    @property
    def text(self) -> bool:
        """Tell whether it is asked in words alone."""
        return self.axis == "text"

    def __len__(self) -> int:
        return len(self.index)


def list_asked(results: Path, study: StudyConfig, questions: int | None = None) -> list[AskedBenchmark]:
    """List the benchmarks with their questions, as the reference answered them.

    Args:
        questions: show so many of all, drawn by the study's seed, evenly over the benchmarks.

    Raises UserError when answers or items are missing or broken.
    """
    owners = dict.fromkeys([study.reference, study.text_reference])
    answers = pd.concat([read_answers(results, LIGHT, owner) for owner in owners])
    rows = answers.drop_duplicates(["axis", "benchmark", "index"])
    layout = Layout(results)
    titles = _read_titles(layout.items())
    kinds = [
        (name, part.reset_index(drop=True))
        for text, names in ((False, study.benchmark_names), (True, study.text_names))
        for name in names
        for part in [rows[(rows["benchmark"] == name) & ((rows["axis"] == "text") == text)]]
    ]
    taken = _draw(study, [len(part) for _, part in kinds], questions)
    folders = {v: layout.items(v) for v in study.variants if study.variants[v].needs_own_items}
    found: list[AskedBenchmark] = []
    for (name, part), kept in zip(kinds, taken, strict=True):
        if part.empty:
            raise UserError(
                f"{results / 'questions.parquet'} has no answers for {name}: run snakemake again."
            )
        axis, shown = str(part["axis"].iloc[0]), part.iloc[kept]
        text = axis == "text"
        found.append(
            AskedBenchmark(
                key=f"{TEXT}{name}" if text else name, name=name, title=titles.get(name, ""), axis=axis,
                heading="text" if text else get_heading(axis, str(part["group"].iloc[0])),
                start=sum(map(len, found)), total=len(part), kept=kept, index=shown["index"].tolist(),
                cluster=shown["cluster"].fillna("").tolist(),
                category=[""] * len(shown) if text
                else _read_categories(layout.items(), name, shown["index"]),
                gold=shown["answer"].fillna("").tolist(),
                items=[] if text else _load(layout.items(), name, shown["index"]),
                own_items={} if text else {v: _load(f, name, shown["index"]) for v, f in folders.items()},
            )
        )  # fmt: skip
    _add_prompts(found, study)
    return found


def read_answers(results: Path, columns: Sequence[str], owner: str) -> pd.DataFrame:
    """Read some columns of one variant's answers, a row per answer. Raises UserError when there are none."""
    path = results / "questions.parquet"
    try:
        known = pq.read_schema(path).names
        table = pq.read_table(
            path, columns=[c for c in columns if c in known], filters=[("variant", "==", owner)]
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): run snakemake again.") from None
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _draw(study: StudyConfig, sizes: list[int], questions: int | None) -> list[np.ndarray]:
    """Draw the positions to show of every benchmark: evenly, whole benchmarks where they are small."""
    if questions is None or questions >= sum(sizes):
        return [np.arange(size) for size in sizes]
    shares, left = [0] * len(sizes), questions
    for turn, place in enumerate(sorted(range(len(sizes)), key=lambda k: sizes[k])):
        shares[place] = min(sizes[place], left // (len(sizes) - turn))
        left -= shares[place]
    rng = np.random.default_rng([study.seed, 20])
    return [np.sort(rng.permutation(size)[:share]) for size, share in zip(sizes, shares, strict=True)]


def _load(folder: Path, benchmark: str, index: "pd.Series[str]") -> list[Item]:
    items = {item.index: item for item in load_items(folder, "test", [benchmark])[benchmark]}
    missing = [i for i in index if i not in items]
    if missing:
        raise UserError(f"{folder} lacks question {missing[0]} of {benchmark}: run snakemake again.")
    return [items[i] for i in index]


def _read_titles(items: Path) -> dict[str, str]:
    path = items / DEFINITIONS
    return {name: str(d.get("title") or "") for name, d in read_json(path).items()} if path.exists() else {}


def _read_categories(items: Path, benchmark: str, index: "pd.Series[str]") -> list[str]:
    """Read the kind of every question from the benchmark's table, if it has such a column."""
    dataset = read_json(items / DEFINITIONS)[benchmark]["dataset"]
    path = items / "test" / f"{dataset}.tsv"
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t")
        header = next(rows, [])
        name = next((c for c in CATEGORIES if c in header), None)
        if name is None or "index" not in header:
            return [""] * len(index)
        key, value = header.index("index"), header.index(name)
        kinds = {row[key]: row[value] for row in rows if len(row) == len(header)}
    found = [kinds.get(i, "") for i in index]
    return found if len(set(found)) <= MOST_CATEGORIES else [""] * len(index)


def _add_prompts(found: Sequence[AskedBenchmark], study: StudyConfig) -> None:
    """Add what text tasks ask; without their data the page does without."""
    asked = [one for one in found if one.text]
    if not asked:
        return
    try:
        prompts: Mapping[str, Mapping[str, str]] = list_prompts(study)
    except UserError as error:
        log.warning("text questions are shown without their prompts: %s", error)
        return
    for one in asked:
        one.prompts.extend(prompts.get(one.name, {}).get(i, "") for i in one.index)


def describe(asked: AskedBenchmark) -> dict[str, Any]:
    """Describe a benchmark for the first view."""
    return {
        "key": asked.key, "name": asked.name, "title": asked.title, "axis": asked.axis,
        "heading": asked.heading, "start": asked.start, "n": len(asked), "of": asked.total,
    }  # fmt: skip
