"""Hold all variants' scores side by side, question by question: what every comparison is made from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.statistics.comparison import Codes, Comparison, Stratum, compare_pairs
from benchmarks.statistics.intervals import Interval, mean_interval, score_interval
from benchmarks.study.compared import Compared


@dataclass(frozen=True)
class ScoreMatrix:
    """Per benchmark: scores as a frame (questions, variants), clusters as numbers or None, its heading.

    `samples`: how many answers a score is the mean of. Where there are several, each question is at least a
    cluster of its own: its interval is a bootstrap, as means of samples are no shares of right answers.
    """

    correct: dict[str, pd.DataFrame]
    clusters: dict[str, Codes | None]
    headings: dict[str, str]
    samples: int = 1

    @classmethod
    def of(cls, scores: pd.DataFrame, benchmarks: Iterable[str]) -> "ScoreMatrix":
        """Make it from the long frame of `study.read_scores` or `read_text` (optional column `cluster`)."""
        correct: dict[str, pd.DataFrame] = {}
        clusters: dict[str, Codes | None] = {}
        headings: dict[str, str] = {}
        kinds = dict(tuple(scores.groupby("benchmark", sort=False)))
        # Of runs made elsewhere, some may have more samples than others.
        samples = math.lcm(*scores["samples"].dropna().astype(int).unique()) if "samples" in scores else 1
        for benchmark in benchmarks:
            rows = kinds[benchmark]
            correct[benchmark] = rows.pivot(index="index", columns="variant", values="correct").astype(float)
            headings[benchmark] = str(rows["heading"].iloc[0])
            coarse = encode_clusters(rows, correct[benchmark].index)
            alone = np.arange(len(correct[benchmark])) if samples > 1 else None
            clusters[benchmark] = alone if coarse is None else coarse
        return cls(correct, clusters, headings, samples)

    def by_heading(self) -> dict[str, list[str]]:
        """Group the benchmarks by heading: perception, reasoning, the others as they come, text."""
        order = dict.fromkeys(
            ["perception", "reasoning", *(h for h in self.headings.values() if h != "text")]
        )
        groups = {h: [b for b in self.correct if self.headings[b] == h] for h in [*order, "text"]}
        return {heading: benchmarks for heading, benchmarks in groups.items() if benchmarks}

    def mean(self, study: Compared, variant: str, benchmarks: list[str]) -> tuple[float, Interval]:
        """Average a variant's score over `benchmarks`, with its interval."""
        by_benchmark = [self.correct[b][variant].to_numpy() for b in benchmarks]
        limits = [
            score_interval(
                scores,
                self.clusters[b],
                confidence=study.statistics.confidence,
                resamples=study.statistics.resamples,
                seed=study.seed,
            )
            for b, scores in zip(benchmarks, by_benchmark, strict=True)
        ]
        return mean_interval([scores.mean() for scores in by_benchmark], limits)

    def strata(self, variant: str, against: str, benchmarks: list[str]) -> list[Stratum]:
        """Pair two variants' scores on the questions of `benchmarks`."""
        return [
            Stratum(
                self.correct[b][variant].to_numpy(),
                self.correct[b][against].to_numpy(),
                self.clusters[b],
                self.samples,
            )
            for b in benchmarks
        ]

    def compare(
        self, study: Compared, variant: str, against: str, benchmarks: list[str], heading: str
    ) -> Comparison:
        """Compare `variant` with another on the questions of `benchmarks` together."""
        return compare_pairs(
            self.strata(variant, against, benchmarks),
            confidence=study.statistics.confidence,
            resamples=study.statistics.resamples,
            seed=study.seed,
            key=f"{variant} {against} {heading}",
        )


def encode_clusters(rows: pd.DataFrame, index: "pd.Index[str]") -> NDArray[np.int64] | None:
    """Number the clusters of the questions in `index`; None where each question stands alone.

    A question without a label is a cluster of its own. Labels count as text: 1 and "1" are one cluster.
    """
    if "cluster" not in rows or rows["cluster"].isna().all():
        return None
    labels = rows.drop_duplicates("index").set_index("index")["cluster"].reindex(index)
    names = [f"question {i}" if pd.isna(c) else f"cluster {c}" for i, c in labels.items()]
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return None if codes.max() + 1 == len(codes) else codes
