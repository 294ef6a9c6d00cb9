"""Compare every pair of variants on every benchmark and group, with the tests of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page.asked import TEXT
from benchmarks.page.table_files import TableFile
from benchmarks.statistics.intervals import Floats, make_generator, newcombe, resample_means
from benchmarks.statistics.pair_intervals import newcombe_pairs
from benchmarks.statistics.paired_tests import holm
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_scores, read_text
from benchmarks.tables.cells import format_cell
from benchmarks.tables.pareto import resample_joint_means
from benchmarks.tables.score_matrix import ScoreMatrix
from benchmarks.tables.ties import pair_tests

GROUP = "group:"  # begins the name of a group among the keys of benchmarks
# What is said of a pair: variant A minus variant B, as texts of the tables' own format.
FIELDS = ("difference", "difference_low", "difference_high", "p", "p_holm", "gained", "lost")
# Tables that compare some of the pairs themselves: their numbers are shown for these.
TABLES = {"benchmarks": "benchmark", "axes": "group", "contrasts": "group"}


@dataclass(frozen=True)
class PairMatrix:
    """Holds all pairs' numbers on one benchmark or group, (V, V) each: row minus column."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats
    gained: Floats
    n: int


def compare_all(results: Path, study: StudyConfig) -> dict[str, PairMatrix]:
    """Compare all pairs by group, benchmark and text task. Raises UserError for missing scores."""
    scores = ScoreMatrix.of(read_scores(results, study), study.benchmark_names)
    text = read_text(results, study)
    kinds = [(scores, "")]
    if len(text) and study.text_of == "all":  # else the triple's language models alone were asked
        kinds.append((ScoreMatrix.of(text, study.text_names), TEXT))
    groups = {
        f"{GROUP}{heading}": _compare(study, matrix, benchmarks)
        for matrix, _ in kinds
        for heading, benchmarks in matrix.by_heading().items()
    }
    singles = {
        f"{key}{name}": _compare(study, matrix, [name]) for matrix, key in kinds for name in matrix.correct
    }
    return groups | singles


def list_pairs(
    matrices: Mapping[str, PairMatrix], study: StudyConfig, tables: Sequence[TableFile]
) -> Iterator[tuple[str, dict[str, dict[str, list[str]]]]]:
    """Yield every variant with what sets it apart from each other one, by key: FIELDS as texts.

    `p_holm` is adjusted over all pairs of all groups, or of all benchmarks; a pair that a table compares has
    the table's numbers, whose p_holm is over that table's tests.
    """
    variants = list(study.variants)
    upper = np.triu_indices(len(variants), 1)
    adjusted: dict[str, Floats] = {}
    for family in (True, False):
        keys = [key for key in matrices if key.startswith(GROUP) == family]
        if keys and len(upper[0]):
            joined = holm(np.concatenate([matrices[key].p[upper] for key in keys]))
            for key, p in zip(keys, np.split(joined, len(keys)), strict=True):
                adjusted[key] = np.full((len(variants),) * 2, np.nan)
                adjusted[key][upper] = p
                adjusted[key].T[upper] = p
    known = _read_known(tables)
    for i, variant in enumerate(variants):
        own: dict[str, dict[str, list[str]]] = {}
        for j, other in enumerate(variants):
            if i != j:
                own[other] = {
                    key: known.get((variant, other, key)) or _format(m, adjusted[key], i, j)
                    for key, m in matrices.items()
                }
        yield variant, own


def _read_known(tables: Sequence[TableFile]) -> dict[tuple[str, str, str], list[str]]:
    """Read the pairs that a study's own tables compare; the reference is whom most are compared with."""
    found: dict[tuple[str, str, str], list[str]] = {}
    by_name = {table.name: table for table in tables}
    reference = ""
    for name, kind in TABLES.items():
        if name not in by_name:
            continue
        rows = [dict(zip(by_name[name].columns, row, strict=True)) for row in by_name[name].rows]
        reference = reference or next((r["variant"] for r in rows if not r["p"]), "")
        for row in rows:
            if row["p"]:
                key = row[kind] if kind == "benchmark" else f"{GROUP}{row[kind]}"
                pair = (row["variant"], row.get("against", reference), key)
                found.setdefault(pair, [row[field] for field in FIELDS])
    return found


def _compare(study: StudyConfig, answers: ScoreMatrix, benchmarks: list[str]) -> PairMatrix:
    variants = list(study.variants)
    scores = [answers.correct[b][variants].to_numpy() for b in benchmarks]
    means = np.mean([s.mean(axis=0) for s in scores], axis=0)
    p = pair_tests(answers, variants, benchmarks)
    gained = np.stack([sum((s[:, [i]] > s).sum(axis=0) for s in scores) for i in range(len(variants))])
    low, high = _find_intervals(study, answers, benchmarks)
    return PairMatrix(means[:, None] - means[None, :], low, high, p, gained, sum(map(len, scores)))


def _find_intervals(study: StudyConfig, answers: ScoreMatrix, benchmarks: list[str]) -> tuple[Floats, Floats]:
    """Find all pairs' intervals: Newcombe's for one benchmark of 0/1 scores, else one bootstrap for all."""
    variants, level = list(study.variants), study.statistics.confidence
    first = answers.correct[benchmarks[0]][variants].to_numpy()
    codes = answers.clusters[benchmarks[0]]
    binary = len(benchmarks) == 1 and bool(np.isin(first, (0, 1)).all())
    if binary and codes is None:
        return newcombe_pairs(first, level)
    if len(benchmarks) == 1:
        rng = make_generator(study.seed, "pairs", benchmarks[0])
        drawn = resample_means(first, resamples=study.statistics.resamples, rng=rng, clusters=codes)
    else:
        drawn = resample_joint_means(
            answers, variants, benchmarks, resamples=study.statistics.resamples, seed=study.seed
        )
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.stack(
        [np.quantile(drawn[:, [i]] - drawn, ends, axis=0) for i in range(len(variants))], axis=1
    )
    if binary and codes is not None:  # without a flip the bootstrap has no width: each cluster counts once
        worth = (codes.max() + 1) / len(codes)
        for i, j in zip(*np.nonzero((first[:, :, None] == first[:, None, :]).all(axis=0)), strict=True):
            low[i, j], high[i, j] = newcombe(first[:, i], first[:, j], level, worth)
    return low, high


def _format(matrix: PairMatrix, adjusted: Floats, i: int, j: int) -> list[str]:
    def share(values: Floats) -> str:
        return format_cell("difference", values[i, j], signed=False)

    numbers: list[Any] = [
        share(matrix.difference), share(matrix.low), share(matrix.high),
        format_cell("p", matrix.p[i, j]), format_cell("p", adjusted[i, j]),
        format_cell("count", matrix.gained[i, j]), format_cell("count", matrix.gained[j, i]),
    ]  # fmt: skip
    return numbers
