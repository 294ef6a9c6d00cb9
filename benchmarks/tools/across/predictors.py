"""Collect what may predict the trade-off of a triple, and correlate it with what the trade-off is.

Candidates are known before any merge is asked: sizes and angles of the task vectors, how far tau_R lies in
tau_V's leading subspaces, what V loses without its own language model, what R forgot, and how steeply the KL
to V rises along tau_R. Outcomes are the price of plain injection and FRISM's advantage over it.
"""

import logging
import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.statistics.paired_tests import holm
from benchmarks.statistics.rank_correlation import correlate_ranks
from benchmarks.study.results import read_table
from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tools.across.archives import read_vectors
from benchmarks.tools.across.effects import TEST, Contrast, Measuring
from benchmarks.tools.across.triples import TripleStudy
from frism.errors import UserError
from frism.inspection.alignment import measure_task_vectors
from frism.method.recipe import Recipe

log = logging.getLogger(__name__)
THIRD = "short chains"
CANDIDATES = {
    "tau_v": "norm of tau_V over that of B",
    "tau_r": "norm of tau_R over that of B",
    "ratio": "norm of tau_V over that of tau_R",
    "cosine": "cosine of tau_V and tau_R",
    "overlap": "tau_R's energy in tau_V's leading subspaces, over chance",
    "needed": "perception lost with B's language model behind V's tower",
    "forgotten": "short chains that R lost, in words (behind V's tower where none were asked)",
    "curvature": "curvature of the KL to V along tau_R's directions, summed",
}
OUTCOMES = {
    "slope": "perception that plain injection loses for each point of reasoning, at 0.9 of its best",
    "advantage": "reasoning of FRISM minus that of plain injection, within the budget, test",
    "saving": "perception that plain injection loses more than FRISM at equal reasoning (0.75)",
}
TRIPLES = (
    *make_columns("name", "study", "base", "cell"),
    *make_columns("four_digits", *CANDIDATES, *OUTCOMES),
)
COLUMNS = (
    *make_columns("name", "outcome", "candidate"),
    *make_columns("count", "n", "bases"),
    *make_estimate("rho"),
    *make_columns("p", "p", "p_holm"),
    *make_estimate("within"),
    *make_columns("name", "verdict"),
)


def collect_triples(measuring: Measuring, *, weights: bool = True) -> pd.DataFrame:
    """Collect candidates and outcomes: a row per triple, NaN for what a study does not know.

    Args:
        weights: whether the checkpoints are read, for norms and cosine; what is not there is NaN.
    """
    outcomes = measure_outcomes(measuring)
    rows = []
    for triple in measuring.population.triples:
        row: dict[str, object] = {
            "study": triple.name,
            "base": measuring.population.bases[triple.digests["base"]],
            "cell": triple.cell,
        }
        row |= measure_vectors(triple) if weights else {}
        row |= read_cell(triple.folder) | {
            "overlap": read_overlap(triple.folder),
            "curvature": read_curvature(triple),
        }
        rows.append(row | {name: values.get(triple.name, math.nan) for name, values in outcomes.items()})
    return pd.DataFrame(rows).reindex(columns=list_names(TRIPLES))


def measure_outcomes(measuring: Measuring) -> dict[str, dict[str, float]]:
    """Measure the outcomes by triple."""
    population = measuring.population
    found: dict[str, dict[str, float]] = {name: {} for name in OUTCOMES}
    if "inject" not in population.variants:
        return found
    contrasts = {
        "advantage": Contrast("frism", "inject", "reasoning", TEST),
        "saving": Contrast("frism", "inject", "perception", "price at 0.75"),
    }
    for name, contrast in contrasts.items():
        if "frism" in population.variants and contrast.group in population.groups:
            found[name] = {e.triple: e.estimate for e in measuring.measure(contrast).effects}
    price = measuring.measure(Contrast("inject", population.reference, "perception", "price at 0.9"))
    for effect in price.effects:
        sweeps = measuring.sweeps[effect.triple]
        assert sweeps is not None
        reasoning = sweeps.scores["reasoning"][0, sweeps.places["inject"]]
        gain = 0.9 * float(reasoning.max() - reasoning[0])
        found["slope"][effect.triple] = effect.estimate / gain if gain > 0 else math.nan
    return found


def measure_vectors(triple: TripleStudy) -> dict[str, float]:
    """Measure norms and cosine of the task vectors; {} where the checkpoints are not there any more.

    An archive has them of the time when it was made.
    """
    if (measured := read_vectors(triple.folder)) is not None:
        return measured
    if not all(Path(folder).exists() for folder in triple.study.triple.folders.values()):
        return {}
    try:
        total = measure_task_vectors(triple.study.triple.open(triple.study.scope)).total
    except UserError as error:
        log.info("%s: norms are not known (%s)", triple.name, error)
        return {}
    return {
        "tau_v": total.tau_vlm / total.base,
        "tau_r": total.tau_lrm / total.base,
        "ratio": total.tau_vlm / total.tau_lrm if total.tau_lrm else math.nan,
        "cosine": total.cosine,
    }


def read_cell(folder: Path) -> dict[str, float]:
    """Read what V needs and R forgot from the study's table `cell`, if it has one."""
    path = folder / "tables" / "cell.csv"
    if not path.is_file():
        return {}
    rows = read_table(path).set_index(["question", "group"])["difference"]
    values = {"needed": rows.get((VISION, "perception"), math.nan)}
    words, tower = (rows.get((question, THIRD), math.nan) for question in (WORDS, TOWER))
    return values | {"forgotten": tower if math.isnan(words) else words}


def read_overlap(folder: Path) -> float:
    """Read how much of tau_R lies in tau_V's leading subspaces, over chance, mean over sides and matrices."""
    path = folder / "tables" / "overlap.csv"
    if not path.is_file():
        return math.nan
    rows = read_table(path)
    if rows.empty:
        return math.nan
    rows = rows[rows["variant"] == rows["variant"].iloc[0]]
    sides = [rows[f"{side}_whole"].mean() / rows[f"{side}_chance"].mean() for side in ("left", "right")]
    return float(np.mean(sides))


def read_curvature(triple: TripleStudy) -> float:
    """Sum the curvature of the KL over tau_R's directions, in nats per answer token at strength 1."""
    for name, variant in triple.study.variants.items():
        if (
            variant.method != "frism_closed_form"
            or not (triple.folder / "variants" / name / "recipe.json").is_file()
        ):
            continue
        recipe, fitted = Recipe.load(triple.folder / "variants" / name)
        parts = [
            float(own[key].double().sum())
            for own in fitted.tensors.values()
            for key in ("curvature", "curvature_tail")
            if key in own
        ]
        return sum(parts) / float(recipe.params.get("strength", 1.0)) ** 2 if parts else math.nan
    return math.nan


def correlate(triples: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Correlate every candidate with every outcome; Holm over all of them.

    Verdict: "goes with it" only if p after Holm is below 1 - confidence and the interval within bases
    excludes 0 too, so that what a base gives all its triples cannot pass for a cause; else "not shown".
    """
    rows = []
    for outcome, candidate in product(OUTCOMES, CANDIDATES):
        x, y = (triples[name].astype(float).tolist() for name in (candidate, outcome))
        found = correlate_ranks(x, y, triples["base"].astype(str).tolist(), confidence)
        rows.append(
            {"outcome": outcome, "candidate": candidate, "n": found.n, "bases": found.bases,
             "rho": found.rho, "rho_low": found.interval[0], "rho_high": found.interval[1], "p": found.p,
             "within": found.within, "within_low": found.within_interval[0],
             "within_high": found.within_interval[1]}
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["p_holm"] = holm(frame["p"])
    outside = (frame["within_low"] > 0) | (frame["within_high"] < 0)
    same = np.sign(frame["within"]) == np.sign(frame["rho"])
    shown = (frame["p_holm"] < 1 - confidence) & outside & same
    frame["verdict"] = np.where(shown, "goes with it", "not shown")
    return frame.reindex(columns=list_names(COLUMNS))
