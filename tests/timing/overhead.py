"""How much of a finished study's time is not the model: python tests/timing/overhead.py results/miniature

The time is the sum over the study's jobs, as Snakemake measured them (costs/). It is told apart into
  answering  what batches took, from prepared pictures to texts (*.batches.jsonl; text: *.cost.csv)
  overhead   jobs without a model as a whole (questions, scoring, statistics, tables, figures), and inside
             tuning jobs the scoring of dev answers, which is done again here to be timed
  the rest   of the jobs with a model: starting Python, loading libraries and weights, fitting, merging
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from benchmarks.answering import cost, predictions
from benchmarks.answering.matching import match_predictions
from benchmarks.questions import reading
from benchmarks.scoring.question_scores import score_answers

ANSWERING = ("predict", "tune", "oracle", "text")  # folders below costs/ whose jobs run a model


def walls(results: Path) -> dict[str, float]:
    """Wall seconds by kind of job."""
    found: dict[str, float] = {}
    for path in sorted((results / "costs").rglob("*.tsv")):
        kind = path.relative_to(results / "costs").parts[0].removesuffix(".tsv")
        found[kind] = found.get(kind, 0) + float(pd.read_csv(path, sep="\t")["s"].sum())
    return found


def batches(files: list[Path]) -> float:
    """Seconds that the batches of some predictions files took. A batch answered again counts once."""
    return sum(sum({c.digest: c.seconds for c in cost.read_costs(file)}.values()) for file in files)


def answers(files: Iterable[Path]) -> list[Path]:
    """Predictions files, without the records of their costs."""
    return [file for file in files if not file.name.endswith(".batches.jsonl")]


def answering(results: Path) -> dict[str, float]:
    """Seconds of answering by kind of job."""
    journal = results / "journal"
    texts = [pd.read_csv(path)["seconds"].sum() for path in (results / "text").glob("*.cost.csv")]
    return {
        "predict": batches(answers(journal.glob("*.jsonl"))),
        "tune": batches(list((results / "variants").glob("*/points/*/dev.jsonl"))),
        "oracle": batches(answers((journal / "points").glob("*/*.jsonl"))),
        "text": float(sum(texts)),
    }


def dev_scoring(results: Path) -> float:
    """Seconds that scoring the dev answers of every grid point takes."""
    total = 0.0
    for path in sorted((results / "variants").glob("*/points/*/dev.jsonl")):
        lines = predictions.read_predictions(path)
        names = list(dict.fromkeys(line.benchmark for line in lines))
        asked = reading.load_items(results / "items", "dev", names)
        start = time.perf_counter()
        score_answers("again", asked, match_predictions(asked, lines, path))
        total += time.perf_counter() - start
    return total


def main() -> None:
    """Print the shares."""
    results = Path(sys.argv[1])
    wall, model, scored = walls(results), answering(results), dev_scoring(results)
    rows = []
    for kind, seconds in wall.items():
        answered = min(model.get(kind, 0), seconds)
        own = scored if kind == "tune" else 0 if kind in ANSWERING else seconds
        rows.append((kind, seconds, answered, own, seconds - answered - own))
    table = pd.DataFrame(rows, columns=["jobs", "seconds", "answering", "overhead", "the rest"])
    total = table.drop(columns="jobs").sum()
    print(pd.concat([table, pd.DataFrame([{"jobs": "all", **total}])]).round(1).to_string(index=False))
    print(f"overhead: {total['overhead'] / total['seconds']:.1%} of {total['seconds']:.0f} seconds")


if __name__ == "__main__":
    main()
