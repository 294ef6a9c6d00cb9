"""Write everything that the page knows of one study: what the first view needs, and shards for the rest."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.page import asked as asked_questions
from benchmarks.page.asked import AskedBenchmark, list_asked
from benchmarks.page.columns import list_owners, pack_owner
from benchmarks.page.folders import link_or_copy
from benchmarks.page.markdown import parse_markdown
from benchmarks.page.pairs import GROUP, compare_all, list_pairs
from benchmarks.page.pictures import PictureFolder
from benchmarks.page.provenance import collect_chain
from benchmarks.page.shards import FORMAT, ShardFolder
from benchmarks.page.table_files import FIRST, ROWS, TableFile, read_tables
from benchmarks.page.texts import TextWriter
from benchmarks.page.variant_files import describe_variant
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.results import format_params
from frism.errors import UserError
from frism.progress import Progress

log = logging.getLogger(__name__)
STEPS = 5
LEFT_OUT = (
    "flips",
    "costs",
)  # of data alone: every flip of all questions, and times, which differ from run to run


def write_study(
    results: Path, page: Path, questions: int | None = None, *, files: bool = True
) -> StudyConfig:
    """Write one study into the folder of a page; return its config.

    Args:
        results: the folder of a finished study.
        questions: show so many questions of all; the tables are of all nevertheless.
        files: whether tables, figures and the answers themselves are put beside as files.

    Raises UserError when the study is not finished, or a file of it is broken.
    """
    layout = Layout(results)
    study = StudyConfig.read(layout.record)
    for name in ("tables/axes.csv", "summary.md", "questions.parquet"):
        if not (results / name).exists():
            raise UserError(f"{results / name} is missing: the study is not finished; run snakemake first.")
    shards = ShardFolder(page / "data" / study.study, study.study)
    with _show(study.study) as progress:
        tables = [t for t in read_tables(results / "tables") if files or t.name not in LEFT_OUT]
        _write_tables(shards, tables)
        shards.write("summary", parse_markdown((results / "summary.md").read_text(encoding="utf-8")))
        progress.advance()
        benchmarks = list_asked(results, study, questions)
        rules = _write_columns(shards, results, study, benchmarks)
        progress.advance()
        pictures = PictureFolder(page / "files" / study.study / "pictures")
        writer = TextWriter(results, shards, pictures, list_owners(study), rules)
        writer.write(benchmarks)
        shards.write("search", writer.searched)
        progress.advance()
        matrices = compare_all(results, study)
        for number, (_, pairs) in enumerate(list_pairs(matrices, study, tables)):
            shards.write(f"pairs/{number}", pairs)
        progress.advance()
        for number, name in enumerate(study.variants):
            shards.write(f"variants/{number}", describe_variant(results, study, name))
        chain = collect_chain(results, study)
        shards.write("chain", chain)
        if files:
            _put_files(results, page / "files" / study.study, whole=questions is None)
        shards.write("questions", _list_questions(benchmarks))
        about = _describe_study(results, study, tables, benchmarks, writer, whole=questions is None and files)
        about["keys"] = [k for k in matrices if k.startswith(GROUP)] + [b.key for b in benchmarks]
        about["record"] = (chain["record"] or {}).get("sha256", "")
        about["verified"] = chain["verified"]
        shards.write("study", about)
        progress.advance()
    return study


@contextmanager
def _show(name: str) -> Iterator[Progress]:
    with Progress(f"page of {name}", STEPS) as progress:
        yield progress


def _write_tables(shards: ShardFolder, tables: Sequence[TableFile]) -> None:
    """Write the rows of the tables that the first view does not need, in parts."""
    for table in tables:
        if table.name in FIRST:
            continue
        for part in range(max(1, -(-len(table.rows) // ROWS))):
            shards.write(f"tables/{table.name}.{part}", table.rows[part * ROWS : (part + 1) * ROWS])


def _write_columns(
    shards: ShardFolder, results: Path, study: StudyConfig, benchmarks: Sequence[AskedBenchmark]
) -> list[str]:
    """Write every owner's columns; return the rules that read their answers."""
    rules: list[str] = []
    for number, owner in enumerate(list_owners(study)):
        packed = pack_owner(results, owner, benchmarks, rules)
        if packed is not None:
            shards.write(f"columns/{number}", packed)
    return rules


def _list_questions(benchmarks: Sequence[AskedBenchmark]) -> dict[str, Any]:
    """List what tells questions apart: index, cluster and category, the latter two as numbers in lists."""

    def encode(words: list[str]) -> dict[str, Any]:
        known = list(dict.fromkeys(words))
        places = {word: k for k, word in enumerate(known)}
        return {"known": known, "of": [places[word] for word in words]}

    return {
        "index": [i for one in benchmarks for i in one.index],
        "cluster": encode([f"{one.key}\0{c}" if c else "" for one in benchmarks for c in one.cluster]),
        "category": encode([c for one in benchmarks for c in one.category]),
    }


def _describe_study(
    results: Path,
    study: StudyConfig,
    tables: Sequence[TableFile],
    benchmarks: Sequence[AskedBenchmark],
    writer: TextWriter,
    *,
    whole: bool,
) -> dict[str, Any]:
    """Describe the study for the first view."""
    sampling = study.engine.sampling
    return {
        "format": FORMAT,
        "study": study.study,
        "reference": study.reference,
        "learned": study.learned,
        "owners": list_owners(study),
        "variants": [
            {"name": name, "method": v.method, "checkpoint": v.checkpoint, "role": study.role(name),
             "reference": v.reference, "params": format_params(v.params)}
            for name, v in study.variants.items()
        ],
        "statistics": {
            "confidence": study.statistics.confidence, "resamples": study.statistics.resamples,
            "budget": study.selection.perception_budget, "margin": study.selection.tolerated,
        },
        "sampling": None if sampling is None
        else {"samples": sampling.samples, "temperature": sampling.temperature},
        "benchmarks": [asked_questions.describe(one) for one in benchmarks],
        "sampled": not all(len(one) == one.total for one in benchmarks),
        "chunks": writer.chunks,
        "rules": writer.rules,
        "tables": [t.describe() | ({"cells": t.rows} if t.name in FIRST else {}) for t in tables],
        "figures": sorted(path.stem for path in (results / "figures").glob("*.png")),
        "parquet": whole and (results / "questions.parquet").exists(),
    }  # fmt: skip


def _put_files(results: Path, folder: Path, *, whole: bool) -> None:
    """Put the files to download beside: tables, figures, and all answers unless a sample is shown."""
    for path in sorted((results / "tables").glob("*.csv")):
        link_or_copy(path, folder / "tables" / path.name)
    for path in sorted((results / "figures").glob("*.png")):
        link_or_copy(path, folder / "figures" / path.name)
    if whole:
        link_or_copy(results / "questions.parquet", folder / "questions.parquet")
