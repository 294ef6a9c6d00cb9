"""Turn a made-up results folder into one whose questions were answered by several samples."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.scoring import answer_csv
from benchmarks.scoring.sample_scores import add_votes


def draw(folder: Path, samples: int, seed: int | None) -> None:
    """Give every answer `samples` versions: by chance right as often as not; without a seed, all alike."""
    for path in [*folder.glob("scores/*.csv"), *folder.glob("text/*.csv")]:
        if path.name.endswith(".cost.csv"):
            continue
        greedy = pd.read_csv(path, dtype={"index": str, "extracted": str}, keep_default_na=False)
        rng = np.random.default_rng([seed or 0, len(path.stem), *path.stem.encode()])
        parts = []
        for number in range(samples):
            part = greedy.assign(sample=number)
            if seed is not None and number:
                right = rng.random(len(part)) < np.where(greedy["correct"] > 0, 0.7, 0.3)
                part = part.assign(correct=right.astype(int), extracted=np.where(right, "three", "none"))
                part["tokens"] = part["tokens"] + rng.integers(0, 9, len(part))
            parts.append(part)
        table = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
        table["extracted"] = table["extracted"].replace("", None)
        table = add_votes(table)
        answer_csv.write_csv(table, path)
        costs = path.with_suffix(".cost.csv")
        if costs.exists():
            columns = ["variant", "benchmark", "index", "sample", "tokens"]
            answer_csv.write_csv(table[columns].assign(seconds=0.01), costs)
