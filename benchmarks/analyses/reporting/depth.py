"""Measure where along the depth an axis' loss lies, and how evenly it is spread, with bootstrap intervals.

A profile is the loss (of a change put in: the gain) by block of layers; what is below 0 counts as 0, since a
block that helps when it is gone contributes nothing. Noise alone spreads a profile: with few questions
entropy leans upwards and Gini's coefficient downwards, in V and its merges alike.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.analyses.measuring.intervention import BARE, IN, INTACT
from benchmarks.analyses.reporting.answers import AXES, Answers, Scored
from benchmarks.statistics.intervals import Floats, make_generator, percentiles, resample_means
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate

COLUMNS = (
    *make_columns("name", "entry", "variant", "action", "module", "axis"),
    *make_columns("count", "n", "blocks"),
    *make_columns("share", "mean_loss"),
    *make_estimate("centre"),
    *make_estimate("entropy"),
    *make_estimate("gini"),
)


@dataclass(frozen=True)
class Profile:
    """Holds the losses by block: as observed (1, blocks), and in every resample of questions, one row each.

    Attributes:
        positions: of the blocks' middles, from 0, the first layer, to 1, the last: (blocks,).
    """

    observed: Floats
    drawn: Floats
    positions: Floats

    def measure(self, statistic: Callable[[Floats, Floats], Floats]) -> tuple[float, Floats]:
        """Return a statistic of the profile as observed, and in every resample: (resamples,)."""
        return float(statistic(self.observed, self.positions)[0]), statistic(self.drawn, self.positions)


def find_centre(losses: Floats, positions: Floats) -> Floats:
    """Find the centre of mass of profiles (m, blocks) over depth: (m,); nan without any loss."""
    return _share(losses) @ positions


def measure_entropy(losses: Floats, positions: Floats) -> Floats:
    """Measure the entropy of profiles (m, blocks) over that of an even one: 0 one block, 1 all alike."""
    shares = _share(losses)
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(-(shares * logs).sum(1) / np.log(losses.shape[1]))


def measure_gini(losses: Floats, positions: Floats) -> Floats:
    """Measure Gini's coefficient of profiles (m, blocks), over its maximum: 0 all alike, 1 one block."""
    ordered = np.sort(_share(losses), axis=1)
    k = losses.shape[1]
    return np.asarray((2 * np.arange(1, k + 1) - k - 1) @ ordered.T / (k - 1))


def _share(losses: Floats) -> Floats:
    """Return each block's share of a profile's loss, nan where there is none."""
    kept = np.maximum(losses, 0)
    total = kept.sum(1, keepdims=True)
    return np.asarray(np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0))


def make_profiles(
    study: StudyConfig, parts: Sequence[tuple[Answers, str, Sequence[int]]], key: str
) -> list[Profile]:
    """Make profiles that are compared: one bootstrap draws the same questions for all of them.

    Args:
        parts: of each the answers, the axis and the places of its blocks. On one axis all must have answered
            the same questions.
        key: names the bootstrap for its seed.
    """
    first = parts[0][0].axes[parts[0][1]]
    means = []
    for number, scored in enumerate(first):
        columns = [_subtract(answers, answers.axes[axis][number], places) for answers, axis, places in parts]
        stacked = np.hstack(columns)
        drawn = resample_means(
            stacked, resamples=study.statistics.resamples,
            rng=make_generator(study.seed, "depth", key, str(number)), clusters=scored.clusters,
        )  # fmt: skip
        means.append(np.vstack([stacked.mean(0), drawn]))
    together = np.mean(means, axis=0)
    ends = np.cumsum([len(places) for _, _, places in parts])[:-1]
    return [
        Profile(losses[:1], losses[1:], find_positions(answers, places))
        for losses, (answers, _, places) in zip(np.hsplit(together, ends), parts, strict=True)
    ]


def _subtract(answers: Answers, scored: Scored, places: Sequence[int]) -> Floats:
    """Return every question's loss under the blocks: (questions, blocks)."""
    gained = answers.steps[places[0]][0] == IN
    against = answers.locate(BARE if gained else INTACT.action)
    assert against is not None, "every analysis begins with what its steps are compared with"
    losses = scored.scores[:, [against]] - scored.scores[:, list(places)]
    return -losses if gained else losses


def find_positions(answers: Answers, places: Sequence[int]) -> Floats:
    """Find the middles of blocks as shares of the depth: (blocks,)."""
    blocks = np.array([answers.steps[place][3:] for place in places], float)
    return np.asarray(blocks.mean(1) / max(blocks.max(), 1.0))


def estimate_interval(drawn: Floats, confidence: float) -> tuple[float, float]:
    """Find the percentile interval of a statistic; nan where a resample in twenty has no loss at all."""
    if np.isnan(drawn).mean() > 0.05:
        return np.nan, np.nan
    return percentiles(drawn[~np.isnan(drawn)], confidence)


STATISTICS = {"centre": find_centre, "entropy": measure_entropy, "gini": measure_gini}


def build_depth_rows(study: StudyConfig, answers: Sequence[Answers]) -> pd.DataFrame:
    """Build a row per entry, variant, action, module and axis that went through the layers."""
    return pd.DataFrame(
        [row for one in answers for row in _list_rows(study, one)], columns=list_names(COLUMNS)
    )


def _list_rows(study: StudyConfig, answers: Answers) -> Iterator[dict[str, object]]:
    for action, module, places in answers.list_profiles():
        for axis in [axis for axis in AXES if axis in answers.axes]:
            profile = make_profiles(study, [(answers, axis, places)], f"{answers.entry} {axis}")[0]
            row: dict[str, object] = {
                "entry": answers.entry, "variant": answers.variant, "action": action, "module": module,
                "axis": axis, "n": sum(len(s.questions) for s in answers.axes[axis]), "blocks": len(places),
                "mean_loss": float(profile.observed.mean()),
            }  # fmt: skip
            for name, statistic in STATISTICS.items():
                value, drawn = profile.measure(statistic)
                low, high = estimate_interval(drawn, study.statistics.confidence)
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            yield row
