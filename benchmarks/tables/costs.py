"""Add up what each variant's answers cost: seconds, generated tokens, peak memory."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns

COLUMNS = (
    *make_columns("name", "variant"),
    *make_columns("count", "n"),
    *make_columns("two_decimals", "seconds"),
    *make_columns("count", "tokens"),
    *make_columns("two_decimals", "tokens_per_answer", "answers_per_second", "wall_seconds", "tune_seconds",
                  "peak_memory_mib"),
)  # fmt: skip


def build_cost_rows(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Add up the costs of every variant whose scores came with times: one row each.

    `seconds` of generation alone and `tokens` are summed over the test questions (scores/*.cost.csv).
    `wall_seconds`, `tune_seconds` and `peak_memory_mib` (largest resident memory of the host process, loading
    included) are what the stages took (costs/); empty where they did not run here.
    """
    rows = []
    for variant in study.variants:
        path = results / "scores" / f"{variant}.cost.csv"
        if not path.exists():
            continue
        costs = pd.read_csv(path).reindex(columns=["seconds", "tokens"])
        seconds, tokens = (float(costs[c].sum(min_count=1)) for c in ("seconds", "tokens"))
        answered = _read_costs(results / "costs" / "predict" / f"{variant}.tsv")
        tuned = _read_costs(results / "costs" / "tune" / f"{variant}.tsv")
        rows.append(
            {
                "variant": variant,
                "n": len(costs),
                "seconds": seconds,
                "tokens": tokens,
                "tokens_per_answer": tokens / len(costs) if len(costs) else float("nan"),
                "answers_per_second": len(costs) / seconds if seconds else float("nan"),
                "wall_seconds": answered["s"],
                "tune_seconds": tuned["s"],
                "peak_memory_mib": float(np.fmax(answered["max_rss"], tuned["max_rss"])),
            }
        )
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _read_costs(path: Path) -> dict[str, float]:
    """Read the largest seconds and MiB from a Snakemake benchmark file; NaN where there is none.

    Of jobs that shared the work (a folder of files) the seconds are added up.
    """
    columns = ["s", "max_rss"]
    files = [path] if path.exists() else sorted(path.with_suffix("").glob("*.tsv"))
    if not files:
        return dict.fromkeys(columns, float("nan"))
    read = (
        pd.read_csv(file, sep="\t").reindex(columns=columns).apply(pd.to_numeric, errors="coerce")
        for file in files
    )
    largest = pd.DataFrame([frame.max() for frame in read])
    return {"s": float(largest["s"].sum(min_count=1)), "max_rss": float(largest["max_rss"].max())}
