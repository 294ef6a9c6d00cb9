"""Group variants that are statistically tied: every pair tested, Holm over the whole table, letters.

Two variants share a letter if no test tells them apart. "Tied with the best" means sharing a letter with
the variant of the highest score; since every pair is tested and adjusted, the choice of that variant by its
score is paid for. Absence of a difference is not shown by sharing a letter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.statistics.paired_tests import Floats, flip_units, holm, mcnemar, sign_flip
from benchmarks.study.compared import Compared
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tables.score_matrix import ScoreMatrix

COLUMNS = (
    *make_columns("name", "over", "name", "variant"),
    *make_columns("count", "n"),
    *make_estimate("score", "low", "high"),
    *make_columns("name", "letters"),
    *make_columns("mark", "tied_with_best"),
    *make_columns("count", "better_than", "worse_than"),
)


def pair_tests(answers: ScoreMatrix, variants: Sequence[str], benchmarks: Sequence[str]) -> Floats:
    """Test every pair of variants over `benchmarks`: two-sided p, (V, V), symmetric, NaN on the diagonal.

    The test is that of `statistics.paired`: exact McNemar, or its sign-flip form for clusters.
    """
    scores = [answers.correct[b][list(variants)].to_numpy() for b in benchmarks]
    clusters = [answers.clusters[b] for b in benchmarks]
    result = np.full((len(variants), len(variants)), np.nan)
    for i in range(len(variants) - 1):
        units = flip_units([s[:, [i]] - s[:, i + 1 :] for s in scores], clusters, answers.samples)
        if np.abs(units).max(initial=0) <= 1:
            p = mcnemar((units > 0).sum(axis=0), (units < 0).sum(axis=0))
        else:
            p = np.array([sign_flip(units[:, j]) for j in range(units.shape[1])])
        result[i, i + 1 :] = result[i + 1 :, i] = p
    return result


def assign_letters(different: NDArray[np.bool_]) -> list[str]:
    """Assign letters to items in order, best first, so that two share one unless they are `different`.

    Compact letter display by insert and absorb (Piepho 2004, J. Comput. Graph. Stat. 13:456): start with one
    letter for all; a pair that differs splits every letter that holds both; one within another is dropped.
    """
    size = len(different)
    columns = [(1 << size) - 1] if size else []
    for i, j in zip(*np.nonzero(np.triu(different, 1)), strict=True):
        one, other = 1 << int(i), 1 << int(j)
        absorbed = [c for c in columns if not (c & one and c & other)]
        halves = {c & ~bit for c in columns if c & one and c & other for bit in (one, other)}
        for half in halves:
            others = [*absorbed, *(h for h in halves if h != half)]
            if not any(half & c == half for c in others):
                absorbed.append(half)
        columns = absorbed
    members = sorted([k for k in range(size) if c >> k & 1] for c in columns)
    return [" ".join(_name_letter(n) for n, group in enumerate(members) if k in group) for k in range(size)]


def build_tied_rows(study: Compared, answers: ScoreMatrix, *more: ScoreMatrix) -> pd.DataFrame:
    """Rank the variants by score in every group, then every benchmark, with the letters of their ties.

    Holm runs over all pairs of all groups, and apart from that over all pairs of all benchmarks.
    `letters`: see `letters`. `better_than`, `worse_than`: how many variants it is shown to differ from.
    """
    groups = {h: (a, b) for a in (answers, *more) for h, b in a.by_heading().items()}
    singles = {b: (answers, [b]) for b in answers.correct}
    parts = [*_rank_family(study, "group", groups), *_rank_family(study, "benchmark", singles)]
    return pd.DataFrame(parts, columns=list_names(COLUMNS))


def count_tests(study: Compared, answers: ScoreMatrix, *more: ScoreMatrix) -> tuple[int, int]:
    """Count the tests of the two families of `tied_rows`."""
    each = len(study.variants) * (len(study.variants) - 1) // 2
    return each * sum(len(a.by_heading()) for a in (answers, *more)), each * len(answers.correct)


def _rank_family(
    study: Compared, over: str, columns: Mapping[str, tuple[ScoreMatrix, list[str]]]
) -> list[dict[str, Any]]:
    """Test and rank the variants in every column, with one Holm adjustment over all of them."""
    variants = list(study.variants)
    upper = np.triu_indices(len(variants), 1)
    tests = {name: pair_tests(a, variants, b) for name, (a, b) in columns.items()}
    adjusted = np.split(holm(np.concatenate([p[upper] for p in tests.values()])), len(tests)) if tests else []
    rows = []
    for (name, (answers, benchmarks)), p in zip(columns.items(), adjusted, strict=True):
        different = np.zeros((len(variants), len(variants)), bool)
        different[upper] = p < 1 - study.statistics.confidence
        different |= different.T
        means = [answers.mean(study, v, benchmarks) for v in variants]
        scores = np.array([mean for mean, _ in means])
        order = np.argsort(-scores, kind="stable")
        by_rank = assign_letters(different[np.ix_(order, order)])
        higher = scores[:, None] > scores[None, :]
        for position, k in enumerate(order):
            rows.append(
                {
                    "over": over,
                    "name": name,
                    "variant": variants[k],
                    "n": sum(len(answers.correct[b]) for b in benchmarks),
                    "score": scores[k],
                    "low": means[k][1][0],
                    "high": means[k][1][1],
                    "letters": by_rank[position],
                    "tied_with_best": not different[order[0], k],
                    "better_than": int((different[k] & higher[k]).sum()),
                    "worse_than": int((different[k] & ~higher[k]).sum()),
                }
            )
    return rows


def _name_letter(number: int) -> str:
    """Name a letter by its number: 0 is a, 25 is z, 26 is aa."""
    first, last = divmod(number, 26)
    return (_name_letter(first - 1) if first else "") + chr(ord("a") + last)
