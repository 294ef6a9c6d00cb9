"""Resample the dev scores of every point of a study's sweeps, and price what its methods reach.

Where a study kept the score of every dev question, all points are resampled on the same drawn questions; of
older studies there are counts alone, from which points are drawn independently: their intervals are wider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.statistics.equal_price import find_best, find_price
from benchmarks.statistics.intervals import Floats, make_generator
from benchmarks.study.results import get_heading, read_dev
from benchmarks.tools.across.triples import TripleStudy
from benchmarks.tuning.dev_scores import QUESTION_SCORES

POINTS_AT_ONCE = 500  # resamples at once, to bound the memory


@dataclass(frozen=True)
class Sweeps:
    """Holds scores of points on dev: per group an array (1 + resamples, points), the first row as observed.

    Attributes:
        places: by variant the columns of its points, V's own point first. paired: whether questions, not
            counts, were resampled. n: questions of a point, by group.
    """

    scores: dict[str, Floats]
    places: dict[str, list[int]]
    paired: bool
    n: dict[str, int]

    def loss(self, group: str, places: Sequence[int]) -> Floats:
        """Return what points lose of V's score in a group, (1 + resamples, points)."""
        columns = self.scores[group][:, places]
        return np.asarray(columns[:, :1] - columns)


def read_sweeps(
    triple: TripleStudy, variants: Sequence[str], *, resamples: int, seed: int = 0
) -> Sweeps | None:
    """Read the sweeps of some variants; None for a study without dev scores of V."""
    dev = read_dev(triple.folder, triple.study)
    names = [triple.study.reference, *(v for v in variants if v != triple.study.reference)]
    dev = dev[dev["variant"].isin(names)]
    if triple.study.reference not in set(dev["variant"]):
        return None
    points = dev[["variant", "point"]].drop_duplicates().reset_index(drop=True)
    points = points.iloc[points["variant"].map(names.index).argsort(kind="stable")].reset_index(drop=True)
    paired = _read_questions(triple.folder, points)
    groups: dict[str, list[str]] = {}
    for axis, group, benchmark in dev[["axis", "group", "benchmark"]].drop_duplicates().to_numpy():
        groups.setdefault(get_heading(axis, group), []).append(str(benchmark))
    scores = {}
    for group, benchmarks in groups.items():
        parts = []
        for benchmark in benchmarks:
            rng = make_generator(seed, "dev", benchmark)
            if paired is not None:
                parts.append(_resample_questions(paired[benchmark], resamples, rng))
            else:
                parts.append(_resample_counts(dev, points, benchmark, resamples, rng))
        scores[group] = np.mean(parts, axis=0)
    places: dict[str, list[int]] = {}
    for place, variant in enumerate(points["variant"]):
        places.setdefault(str(variant), [0]).append(place)
    places[triple.study.reference] = [0]
    first = dev[(dev["variant"] == triple.study.reference)]
    sizes = {
        group: int(first[first["benchmark"].isin(benchmarks)]["n"].sum())
        for group, benchmarks in groups.items()
    }
    return Sweeps(scores, places, paired is not None, sizes)


def _read_questions(folder: Path, points: pd.DataFrame) -> dict[str, Floats] | None:
    """Read every point's dev questions, by benchmark (questions, points); None where a point lacks them."""
    columns: list[pd.Series] = []
    for variant, point in points.itertuples(index=False):
        path = folder / "variants" / str(variant) / "points" / str(point) / QUESTION_SCORES
        if not path.is_file():
            return None
        frame = pd.read_csv(path, dtype={"index": str, "benchmark": str})
        columns.append(frame.set_index(["benchmark", "index"])["correct"])
    whole = pd.concat(columns, axis=1, join="inner")
    if len(whole) != len(columns[0]):
        return None
    return {str(name): rows.to_numpy(float) for name, rows in whole.groupby(level="benchmark", sort=False)}


def _resample_questions(scores: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    parts = [scores.mean(axis=0)[None]]
    n = len(scores)
    for start in range(0, resamples, POINTS_AT_ONCE):
        size = min(POINTS_AT_ONCE, resamples - start)
        draws = rng.multinomial(n, np.full(n, 1 / n), size=size)
        parts.append(np.einsum("rq,qp->rp", draws, scores) / n)
    return np.concatenate(parts)


def _resample_counts(
    dev: pd.DataFrame, points: pd.DataFrame, benchmark: str, resamples: int, rng: np.random.Generator
) -> Floats:
    keyed = dev[dev["benchmark"] == benchmark].set_index(["variant", "point"])
    rows = keyed.loc[list(points.itertuples(index=False, name=None))]
    n, share = rows["n"].to_numpy(int), (rows["correct"] / rows["n"]).to_numpy(float)
    return np.concatenate([share[None], rng.binomial(n, share, size=(resamples, len(n))) / n])


def price_sweep(
    sweeps: Sweeps, variant: str, group: str, share: float, against: str | None = None
) -> Floats | None:
    """Price a variant's sweep at the reasoning `share` of the way from V's to the best: (1 + resamples,).

    The best is that of the variant, or the lower of both bests where another is named. None for a variant or
    group without dev scores.
    """
    wanted = [variant] if against is None else [variant, against]
    if any(name not in sweeps.places for name in wanted) or not {group, "perception", "reasoning"} <= (
        sweeps.scores.keys()
    ):
        return None
    reasoning = sweeps.scores["reasoning"]
    best = np.min([find_best(reasoning[:, sweeps.places[name]]) for name in wanted], axis=0)
    start = reasoning[:, 0]
    target = start + share * np.maximum(best - start, 0.0)
    places = sweeps.places[variant]
    carried = None if group == "perception" else sweeps.loss(group, places)
    return find_price(reasoning[:, places], sweeps.loss("perception", places), target, carried)


def find_reasoning_within(sweeps: Sweeps, variant: str, budgets: dict[str, float]) -> Floats | None:
    """Find the best dev reasoning of a sweep whose losses keep all budgets, by group: (1 + resamples,).

    V itself is a point of every sweep, so there always is one.
    """
    if variant not in sweeps.places or not budgets.keys() <= sweeps.scores.keys():
        return None
    places = sweeps.places[variant]
    kept = np.all([sweeps.loss(group, places) <= limit + 1e-9 for group, limit in budgets.items()], axis=0)
    return np.asarray(np.where(kept, sweeps.scores["reasoning"][:, places], -np.inf).max(axis=1))
