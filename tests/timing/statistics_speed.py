"""How long the statistics of a large study take, and how much memory: tables, summary, question table.

    python tests/timing/statistics_speed.py [--variants 50] [--benchmarks 12] [--questions 1000]
                                                [--clusters 4] [--uneven]

Makes a study's score files, then runs the very commands of the workflow as processes of their own and prints
their wall time, CPU time and peak resident memory. `--clusters k` puts every third benchmark's questions into
clusters of k; `--uneven` gives the benchmarks between half and twice as many questions.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.studies import record

ROOT = Path(__file__).resolve().parents[2]
RAW = "Let me think about the tiles one after the other. "


def make(folder: Path, args: argparse.Namespace) -> dict:
    """Scores, costs and dev scores of every variant; returns the study's settings."""
    rng = np.random.default_rng(0)
    names = [f"bench{i:02d}" for i in range(args.benchmarks)]
    sizes = {name: int(args.questions * (2 ** rng.uniform(-1, 1) if args.uneven else 1)) for name in names}
    difficulty = {name: rng.beta(1.2, 0.8, sizes[name]) for name in names}
    axis = {name: "perception" if i % 2 else "reasoning" for i, name in enumerate(names)}
    variants = {f"v{i:02d}": {"method": "inject"} for i in range(args.variants)} | {"v00": {"method": "vlm"}}
    for part in ("scores", "variants"):
        (folder / part).mkdir(parents=True)
    for variant in variants:
        skill = rng.normal(0, 0.03)
        parts = []
        for k, name in enumerate(names):
            n, clustered = sizes[name], bool(args.clusters) and k % 3 == 0
            right = rng.random(n) < np.clip(difficulty[name] + skill, 0, 1)
            parts.append(
                pd.DataFrame(
                    {
                        "variant": variant,
                        "benchmark": name,
                        "axis": axis[name],
                        "group": axis[name],
                        "split": "test",
                        "index": range(n),
                        "cluster": [f"c{i // args.clusters}" for i in range(n)] if clustered else "",
                        "answer": "B",
                        "raw": [RAW * 4 + f"The answer is {'B' if r else 'C'}." for r in right],
                        "extracted": np.where(right, "B", "C"),
                        "rule": "answer phrase",
                        "correct": right.astype(float),
                        "correct_raw": right.astype(float),
                        "truncated": False,
                        "repeated": False,
                        "tokens": rng.integers(20, 60, n),
                    }
                )
            )
        frame = pd.concat(parts)
        frame.to_csv(folder / "scores" / f"{variant}.csv", index=False)
        frame[["variant", "benchmark", "index", "tokens"]].assign(seconds=0.1).to_csv(
            folder / "scores" / f"{variant}.cost.csv", index=False
        )
        home = folder / "variants" / variant
        home.mkdir()
        groups = frame.groupby(["benchmark", "axis", "group"], as_index=False)
        totals = groups.agg(n=("index", "size"), correct=("correct", "sum"))
        totals.assign(variant=variant, point=0, params="{}").to_csv(home / "dev.csv", index=False)
        (home / "choice.json").write_text(
            json.dumps({"point": 0, "params": {}, "rule": "one point", "budget_missed": False})
        )
    return {"benchmarks": names, "variants": variants, "statistics": {"resamples": 2000}}


def main() -> None:
    """Time the commands and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("variants", 50), ("benchmarks", 12), ("questions", 1000), ("clusters", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--uneven", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        study = record(folder, make(folder, args))
        print(f"{args.variants} variants, {args.benchmarks} benchmarks, {args.questions} questions each")
        for module in (
            "benchmarks.stages.tables",
            "benchmarks.stages.summary",
            "benchmarks.stages.answers_table",
        ):
            start = time.perf_counter()
            command = [sys.executable, "-m", module, "--study", str(study)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            if status:
                sys.exit(f"{module} failed")
            print(
                f"{module:22} {seconds:6.1f} s wall, {usage.ru_utime + usage.ru_stime:6.1f} s CPU,"
                f" peak {usage.ru_maxrss / 2**20:.2f} GiB"
            )


if __name__ == "__main__":
    main()
