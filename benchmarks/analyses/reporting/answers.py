"""Read what a variant scored under interventions: per benchmark a matrix of questions by interventions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.analyses.measuring.discovery import find
from benchmarks.analyses.measuring.intervention import COLUMNS, Intervention
from benchmarks.statistics.comparison import Codes, Stratum
from benchmarks.statistics.intervals import Floats
from benchmarks.study.config import StudyConfig
from frism.errors import UserError

AXES = ("perception", "reasoning")
REFLECTION = "reflection"  # the analysis of stored answers, which has a table of its own
DRIFT, ATTENTION = "hidden_drift", "visual_attention"  # likewise, of what is inside
MAPS, TILES = "heat_maps", "tile_dependence"
REQUIRED = ["variant", *COLUMNS, "benchmark", "axis", "index", "cluster", "correct"]
Step = tuple[str, str, str, int, int]  # action, module, unit, first, last


@dataclass(frozen=True)
class Scored:
    """Holds one benchmark's scores under every intervention.

    Attributes:
        scores: (questions, interventions), in [0, 1]. questions: their indices, (questions,).
        clusters: (questions,) as numbers, or None where questions do not depend on each other.
    """

    scores: Floats
    questions: tuple[str, ...]
    clusters: Codes | None


@dataclass(frozen=True)
class Answers:
    """Holds what one variant scored in one entry: interventions in order, benchmarks by axis."""

    entry: str
    variant: str
    steps: tuple[Step, ...]
    axes: Mapping[str, Sequence[Scored]]

    def locate(self, action: str) -> int | None:
        """Return the place of the one intervention of an action; None where there is none."""
        found = [place for place, step in enumerate(self.steps) if step[0] == action]
        return found[0] if found else None

    def pair(self, axis: str, step: int, against: int) -> list[Stratum]:
        """Pair the scores of an axis under two interventions, by benchmark."""
        return [Stratum(s.scores[:, step], s.scores[:, against], s.clusters) for s in self.axes[axis]]

    def list_profiles(self) -> Iterator[tuple[str, str, list[int]]]:
        """Yield action, module and the places of the interventions that go through the layers."""
        kinds = dict.fromkeys(step[:2] for step in self.steps if step[2] == "layers" and step[3] >= 0)
        for kind in kinds:
            places = [i for i, s in enumerate(self.steps) if s[:2] == kind and s[2] == "layers"]
            if len(places) > 1:
                yield (*kind, places)


def read_answers(results: Path, study: StudyConfig) -> list[Answers]:
    """Read the scores of all entries that change a model, and variants, in the config's order.

    Raises UserError for a file that is missing or broken.
    """
    found = []
    for entry, settings in study.analyses.items():
        if find(settings.analysis or entry).intervene is None:
            continue
        for variant in settings.variants or study.variants:
            path = results / "analyses" / entry / f"{variant}.csv"
            if path.is_file() or settings.variants:
                found.append(_read(path, entry, variant))
    return found


def _read(path: Path, entry: str, variant: str) -> Answers:
    try:
        table = pd.read_csv(path, dtype={"index": str, "cluster": str}, keep_default_na=False)
        table = table[REQUIRED].astype({"correct": float, "first": int, "last": int})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no scores of an analysis ({error}): run snakemake again.") from None
    steps = tuple(dict.fromkeys(table[[*COLUMNS]].itertuples(index=False, name=None)))
    axes: dict[str, list[Scored]] = {}
    for (axis, name), rows in table.groupby(["axis", "benchmark"], sort=False):
        wide = rows.pivot(index="index", columns=[*COLUMNS], values="correct").reindex(columns=list(steps))
        if wide.isna().to_numpy().any():
            raise UserError(
                f"{path}: {name} was not asked alike under all interventions: delete the file and run"
                " snakemake again."
            )
        clusters = rows.drop_duplicates("index").set_index("index")["cluster"].reindex(wide.index)
        codes = np.unique(clusters.to_numpy(str), return_inverse=True)[1] if clusters.any() else None
        scored = Scored(wide.to_numpy(float), tuple(map(str, wide.index)), codes)
        axes.setdefault(str(axis), []).append(scored)
    return Answers(entry, variant, steps, axes)


def name_step(step: Step) -> str:
    """Name an intervention, to seed its bootstrap by."""
    return " ".join(map(str, Intervention(*step).identity))
