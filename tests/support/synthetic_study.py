"""A made-up but realistic results folder: beta-binomial answers, difficulties shared by the variants.

Gates and injected norms are made up, too, but fit the matrices of the miniature's weights.
"""

import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import beta

from benchmarks.statistics.selection import choose
from benchmarks.tables.gates.open_fractions import locate_matrix
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe, digest_coefficients
from frism.spectra.settings import SpectrumSettings
from frism.triples.triple import Triple

SUITES = {
    **dict.fromkeys(
        ["mini_number", "mini_color", "mini_place", "mini_existence", "mini_count"],
        ("perception", "perception"),
    ),
    **dict.fromkeys(
        ["mini_total", "mini_net", "mini_largest", "mini_conditional"], ("reasoning", "reasoning")
    ),
    **dict.fromkeys(["mini_add", "mini_reduce", "mini_larger"], ("other", "short chains")),
    **dict.fromkeys(
        ["mini_total_unasked", "mini_net_unasked", "mini_largest_unasked", "mini_conditional_unasked"],
        ("other", "unasked"),
    ),
}
TEXT = ["mini_total", "mini_net", "mini_largest", "mini_conditional"]
WEIGHTS = {role: f"benchmarks/miniature/weights/{role}" for role in ("base", "vlm", "lrm")}
EXPLAINED = {  # lines that `explain` has something to say of, beside FRISM itself
    "ip_released": {"method": "ip_released", "grid": {"strength": [0.25, 0.5, 1.0]}},
    "frism_layer": {"method": "frism_layer"},
    "frism_random": {"method": "frism_random"},
    "rank_block": {
        "method": "rank_block",
        "params": {"blocks": 4, "split": "count"},
        "grid": {"block": [0, 1, 2, 3], "strength": [0.25, 0.5, 1.0, 1.5]},
    },
}
# Per variant: how fast perception falls and reasoning rises with strength.
TRAITS = {
    "vlm": (0, 0),
    "interp": (1.2, 0.55),
    "inject": (1.0, 0.6),
    "ta_sym": (1.3, 0.5),
    "layer_swap": (0.7, 0.4),
    "inject_early": (0.8, 0.45),
    "inject_middle": (0.15, 0.03),
    "inject_late": (0.1, 0.02),
    "ties": (0.9, 0.3),
    "dare_linear": (1.05, 0.55),
    "frism": (0.35, 0.6),
    "frism_uniform": (0.9, 0.6),
    "frism_matrix": (0.6, 0.58),
    "frism_shuffled": (0.65, 0.6),
    "frism_layer": (0.5, 0.55),
    "rank_block": (0.3, 0.3),
}


def config(**changes: Any) -> dict[str, Any]:
    """The settings of the made-up study, shaped like the miniature's."""
    strengths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0]
    swept = {"grid": {"strength": strengths}}
    variants: dict[str, Any] = {
        "vlm": {"method": "vlm"},
        "interp": {"method": "interp", "grid": {"strength": strengths[:5]}},
        "inject": {"method": "inject", **swept},
        "ta_sym": {"method": "ta_sym", **swept},
        "layer_swap": {"method": "layer_swap", "grid": {"strength": [0.3, 0.6, 0.9]}},
        "inject_early": {
            "method": "layer_range",
            "params": {"part": "early"},
            "grid": {"strength": [0.5, 1.0]},
        },
        "inject_middle": {
            "method": "layer_range",
            "params": {"part": "middle"},
            "grid": {"strength": [0.5, 1.0]},
        },
        "inject_late": {
            "method": "layer_range",
            "params": {"part": "late"},
            "grid": {"strength": [0.5, 1.0]},
        },
        "ties": {"method": "ties", **swept},
        "dare_linear": {"method": "dare_linear", **swept},
        "frism": {"method": "frism", "grid": {"strength": [0.5, 1.0], "alpha": [0.05, 0.1, 0.3]}},
        "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
        "frism_matrix": {"method": "frism_matrix", "reference": "frism"},
        "frism_shuffled": {"method": "frism_shuffled", "reference": "frism"},
    }
    return {
        "study": "miniature",
        "seed": 0,
        "benchmarks": list(SUITES),
        "text": TEXT,
        "triple": WEIGHTS,
        "calibration": {"source": "miniature", "questions": 512},
        "selection": {"perception_budget": 0.02},
        "statistics": {"confidence": 0.95, "resamples": 500},
        "variants": variants,
    } | changes


def accuracy(variant: str, heading: str, params: dict[str, Any]) -> float:
    """True share of right answers."""
    fall, rise = TRAITS.get(variant, (1.0, 0.5))
    strength = float(params.get("strength", 0.6)) * (1 + float(params.get("alpha", 0)))
    fallen, risen = fall * strength, 1 - np.exp(-3 * strength**2)
    return float(
        {
            "perception": 0.985 / (1 + np.exp(8 * (fallen - 0.75))) * (1 + np.exp(-6)),
            "reasoning": np.clip(0.12 + rise * risen * (1 - 0.4 * max(fallen - 0.6, 0)), 0.02, 0.98),
            "short chains": 0.96 / (1 + np.exp(8 * (fallen - 0.95))),
            "unasked": np.clip(0.08 + 0.5 * rise * risen, 0.02, 0.98),
            "text": np.clip(0.35 + 0.9 * rise * risen, 0.02, 0.98),
        }[heading]
    )


def answers(mean: float, difficulty: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Beta-binomial 0/1 answers: right with a Beta-distributed chance, ranked by difficulty."""
    concentration = 0.6
    chance = beta.ppf(difficulty, max(mean, 1e-3) * concentration, max(1 - mean, 1e-3) * concentration)
    return (rng.random(len(difficulty)) < chance).astype(int)


def make(folder: Path, settings: dict[str, Any], *, n: int = 100, n_dev: int = 60, seed: int = 0) -> Path:
    """Write scores/, text/, variants/ of every variant of `settings` into `folder` and return it."""
    for part in ("scores", "text"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    # What was learned draws on numbers of its own, so that it changes no score.
    rng, inside = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    difficulty = {b: rng.random(n) for b in SUITES} | {f"text {t}": rng.random(n) for t in TEXT}
    dev_difficulty = {b: rng.random(n_dev) for b in SUITES}
    reference: pd.DataFrame | None = None
    chosen: dict[str, dict[str, Any]] = {}
    for variant, line in settings["variants"].items():
        home = folder / "variants" / variant
        home.mkdir(parents=True, exist_ok=True)
        grid = line.get("grid", {})
        points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        inherited = chosen.get(line.get("reference", ""), {})
        dev = pd.DataFrame(
            _dev_row(variant, i, line.get("params", {}) | p, inherited, b, dev_difficulty[b], rng)
            for i, p in enumerate(points)
            for b in settings["benchmarks"]
        )
        dev.to_csv(home / "dev.csv", index=False)
        reference = dev if reference is None else reference
        choice = choose(dev, reference, budget=settings["selection"]["perception_budget"])
        (home / "choice.json").write_text(json.dumps(choice.to_dict()))
        chosen[variant] = inherited | choice.params
        _scores(folder / "scores", variant, chosen[variant], settings["benchmarks"], difficulty, rng)
        _text(folder / "text", variant, accuracy(variant, "text", chosen[variant]), difficulty, rng)
        if line["method"].startswith("frism"):
            _norms(home, chosen[variant], inside)
        if line["method"].startswith("frism") and "reference" not in line:
            for i, point in enumerate(points):
                _gates(home / "points" / str(i), line, point, inside)
            _gates(home, line, choice.params, inside)
            _learned(home, inside)
        if line["method"] == "rank_block":
            _recipe(line["method"], line["params"] | choice.params, None).save(home)
    _text(folder / "text", "base", 0.4, difficulty, rng)
    _text(folder / "text", "lrm", 0.97, difficulty, rng)
    return folder


def _dev_row(variant, point, params, inherited, benchmark, difficulty, rng):
    axis, group = SUITES[benchmark]
    mean = accuracy(variant, group, inherited | params)
    correct = int(answers(mean, difficulty, rng).sum())
    n = len(difficulty)
    return {
        "variant": variant,
        "point": point,
        "params": json.dumps(params),
        "benchmark": benchmark,
        "axis": axis,
        "group": group,
        "n": n,
        "correct": correct,
        "score": correct / n,
    }


def _scores(folder, variant, params, benchmarks, difficulty, rng):
    parts = []
    for benchmark in benchmarks:
        axis, group = SUITES[benchmark]
        right = answers(accuracy(variant, group, params), difficulty[benchmark], rng)
        lost = rng.random(len(right)) < 0.02
        parts.append(
            pd.DataFrame(
                {
                    "variant": variant,
                    "benchmark": benchmark,
                    "axis": axis,
                    "group": group,
                    "split": "test",
                    "index": range(len(right)),
                    "answer": "three",
                    "raw": "red three . Answer three",
                    "extracted": np.where(lost, "", np.where(right, "three", "none")),
                    "rule": "answer",
                    "correct": right * ~lost,
                    "correct_raw": right * (rng.random(len(right)) < 0.9),
                    "truncated": rng.random(len(right)) < 0.01,
                    "repeated": rng.random(len(right)) < 0.02,
                    "tokens": rng.integers(1, 40, len(right)),
                }
            )
        )
    frame = pd.concat(parts)
    frame.to_csv(folder / f"{variant}.csv", index=False)
    cost = frame[["variant", "benchmark", "index", "tokens"]].assign(seconds=0.01)
    cost.to_csv(folder / f"{variant}.cost.csv", index=False)


def _text(folder, owner, mean, difficulty, rng):
    parts = [
        pd.DataFrame(
            {
                "variant": owner,
                "benchmark": task,
                "index": range(len(right)),
                "answer": "three",
                "raw": "",
                "extracted": "three",
                "correct": right,
                "truncated": False,
                "tokens": 12,
            }
        )
        for task in TEXT
        for right in [answers(mean, difficulty[f"text {task}"], rng)]
    ]
    pd.concat(parts).to_csv(folder / f"{owner}.csv", index=False)


@cache
def triple() -> Triple:
    """The miniature's, whose matrices the gates are made up for."""
    return Triple.open(**WEIGHTS)


def _gates(home: Path, line: dict[str, Any], params: dict[str, Any], rng: np.random.Generator) -> None:
    """A recipe with open fractions of every direction, running to the ends as alpha grows."""
    unrewarded = line["method"] == "frism_no_injection"
    params = {"strength": 1.0, "alpha": 0.0 if unrewarded else 0.1} | line.get("params", {}) | params
    gates = {}
    for name in triple().names("mat"):
        layer, module = locate_matrix(name)
        centre = 0.3 * layer - 0.5 + 0.5 * (module in ("gate", "up", "down")) + 3 * (params["alpha"] - 0.1)
        logits = rng.normal(centre, 1 + 6 * params["alpha"], min(triple().header("vlm", name).shape))
        if line["method"] == "frism_layer":
            logits[:] = logits[0]
        gates[f"{name}/open"] = torch.sigmoid(torch.tensor(logits, dtype=torch.float32))
    fitted = Fitted.from_flat(gates)
    _recipe(line["method"], params, fitted).save(home, fitted)


def _recipe(method: str, params: dict[str, Any], fitted: Fitted | None) -> Recipe:
    return Recipe(
        method=method, params=params, scope="mat", triple=triple().digest, spectrum=SpectrumSettings(),
        coefficients=digest_coefficients(fitted),
    )  # fmt: skip


def _norms(home: Path, params: dict[str, Any], rng: np.random.Generator) -> None:
    names = triple().names("mat")
    norms = float(params.get("strength", 0.6)) * rng.uniform(0.2, 1.2, len(names))
    pd.DataFrame({"tensor": names, "injected_norm": norms}).to_csv(home / "norms.csv", index=False)


def _learned(home: Path, rng: np.random.Generator) -> None:
    step = np.arange(96)
    pd.DataFrame(
        {
            "step": step,
            "kl": 0.02 + 0.4 * np.exp(-step / 12) * (1 + 0.2 * rng.normal(size=96)),
            "injected_energy": 0.25 + 0.3 * (1 - np.exp(-step / 30)),
            "gate_q10": 0.5 - 0.4 * (1 - np.exp(-step / 40)),
            "gate_q50": 0.5 + 0.1 * (1 - np.exp(-step / 40)),
            "gate_q90": 0.5 + 0.45 * (1 - np.exp(-step / 40)),
        }
    ).to_csv(home / "learning.csv", index=False)
