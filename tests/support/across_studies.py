"""Finished studies of made-up triples whose true effects differ, as `frism across` reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.stages.tables import build
from benchmarks.statistics.selection import choose
from benchmarks.study.config import StudyConfig
from frism.method.recipe import Recipe
from tests.support.studies import record, study_of

GROUPS = {
    "mini_number": ("perception", "perception"),
    "mini_color": ("perception", "perception"),
    "mini_add": ("other", "short chains"),
    "mini_total": ("reasoning", "reasoning"),
    "mini_net": ("reasoning", "reasoning"),
}
# Shares right on perception, short chains, reasoning by strength: a cliff for one method, none for the other.
SWEEPS = {
    "vlm": {0.0: (0.98, 0.99, 0.2)},
    "inject": {0.6: (0.97, 0.98, 0.3), 0.8: (0.94, 0.95, 0.5), 1.0: (0.80, 0.7, 0.8)},
    "frism": {1.0: (0.975, 0.9, 0.45), 1.5: (0.97, 0.8, 0.7)},
    "frism_uniform": {0.0: (0.85, 0.6, 0.7)},
    "frism_matrix_scaled": {0.8: (0.96, 0.95, 0.4), 1.0: (0.93, 0.9, 0.65)},
    "put_back": {0.0: (0.35, 0.4, 0.2)},
    "frism_closed_form": {0.5: (0.97, 0.95, 0.3)},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject", "grid": {"strength": [0.6, 0.8, 1.0]}},
    "frism": {"method": "frism", "grid": {"strength": [1.0, 1.5]}},
    "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
    "frism_matrix_scaled": {
        "method": "frism_matrix_scaled", "reference": "frism", "grid": {"strength": [0.8, 1.0]},
    },
    "put_back": {"method": "put_back", "params": {"of": "base"}, "scope": "mat+bias+norm"},
}  # fmt: skip


def settings(name: str, labels: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """The settings of one study; keywords replace keys."""
    benchmarks = [{"name": b, "dev": True} if axis == "other" else b for b, (axis, _) in GROUPS.items()]
    return {
        "study": name,
        "labels": dict(labels or {}),
        "benchmarks": benchmarks,
        "text": ["mini_add"],
        "text_of": "parents",
        "questions": {"dev": 60, "test": 80},
        "selection": {"perception_budget": 0.05, "third_axis": "short chains"},
        "statistics": {"resamples": 200},
        "variants": VARIANTS,
    } | changes


def make_study(
    folder: Path,
    whole: dict[str, Any],
    digests: tuple[str, str, str],
    *,
    shift: float = 0.0,
    seed: int = 0,
    n: int = 80,
    n_dev: int = 60,
    by_question: bool = True,
    tables: bool = True,
) -> Path:
    """Write a finished study. `shift`: of FRISM's true reasoning; `by_question`: with dev_scores.csv."""
    rng = np.random.default_rng(seed)
    record(folder, whole)
    study = study_of(whole)
    keys = dict(zip(("base", "vlm", "lrm"), digests, strict=True))
    difficulty = {b: np.random.default_rng(7).random((2, max(n, n_dev))) for b in study.benchmark_names}
    (folder / "scores").mkdir()
    reference = None
    for name, variant in study.variants.items():
        home = folder / "variants" / name
        params = list(variant.points)
        rows = []
        for number, own in enumerate(params):
            shares = _find_shares(name, own, shift)
            (home / "points" / str(number)).mkdir(parents=True)
            kept = []
            for benchmark in study.benchmark_names:
                axis, group = GROUPS[benchmark]
                right = _answer(shares[group], difficulty[benchmark][0][:n_dev], rng)
                rows.append(
                    {"variant": name, "point": number, "params": json.dumps(own), "benchmark": benchmark,
                     "axis": axis, "group": group, "n": n_dev, "correct": int(right.sum())}
                )  # fmt: skip
                kept.append(pd.DataFrame({"benchmark": benchmark, "axis": axis, "group": group,
                                          "index": range(n_dev), "correct": right}))  # fmt: skip
            if by_question:
                pd.concat(kept).to_csv(home / "points" / str(number) / "dev_scores.csv", index=False)
        dev = pd.DataFrame(rows)
        dev.to_csv(home / "dev.csv", index=False)
        reference = dev if reference is None else reference
        rule = study.selection
        choice = choose(dev, reference, budget=rule.perception_budget)
        (home / "choice.json").write_text(json.dumps(choice.to_dict()))
        Recipe(method=variant.method, params=choice.params, scope="mat", triple=keys).save(home)
        _write_scores(folder, study, name, _find_shares(name, choice.params, shift), difficulty, n, rng)
    (folder / "text").mkdir()
    for owner, share in (("base", 0.98), ("lrm", 0.7)):
        right = rng.random(50) < share
        frame = pd.DataFrame(
            {"variant": owner, "benchmark": "mini_add", "index": range(50), "answer": "two",
             "extracted": "two", "correct": right.astype(int), "truncated": False, "tokens": 3}
        )  # fmt: skip
        frame.to_csv(folder / "text" / f"{owner}.csv", index=False)
    if tables:
        build(folder, study, folder / "tables")
    return folder


def _find_shares(name: str, params: Mapping[str, Any], shift: float) -> dict[str, float]:
    points = SWEEPS[name]
    perception, short, reasoning = points.get(float(params.get("strength", 0.0)), next(iter(points.values())))
    moved = shift if name == "frism" else 0.0
    return {"perception": perception, "short chains": short, "reasoning": min(reasoning + moved, 1.0)}


def _answer(share: float, difficulty: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Right answers: questions have difficulties that all variants and triples share."""
    chance = np.clip(share + 0.3 * (0.5 - difficulty) * min(share, 1 - share) * 2, 0, 1)
    return (rng.random(len(difficulty)) < chance).astype(int)


def _write_scores(
    folder: Path,
    study: StudyConfig,
    name: str,
    shares: Mapping[str, float],
    difficulty: Mapping[str, np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> None:
    parts = []
    for benchmark in study.benchmark_names:
        axis, group = GROUPS[benchmark]
        right = _answer(shares[group], difficulty[benchmark][1][:n], rng)
        parts.append(pd.DataFrame({
            "variant": name, "benchmark": benchmark, "axis": axis, "group": group, "index": range(n),
            "answer": "two", "raw": "two", "extracted": "two", "rule": "answer", "correct": right,
            "correct_raw": right, "truncated": False, "repeated": False, "tokens": 2,
        }))  # fmt: skip
    pd.concat(parts).to_csv(folder / "scores" / f"{name}.csv", index=False)
