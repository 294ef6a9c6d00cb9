"""What may predict a trade-off is read from where it stands, and no more is claimed than so few allow."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tools.across import predictors, weights
from benchmarks.tools.across.effects import Measuring
from benchmarks.tools.across.triples import read_population
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe, digest_coefficients
from frism.spectra.settings import SpectrumSettings
from tests.support.across_studies import VARIANTS, make_study, settings


@pytest.fixture(scope="module")
def measuring(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    variants = VARIANTS | {"frism_closed_form": {"method": "frism_closed_form", "params": {"strength": 0.5}}}
    folders = [
        make_study(root / name, settings(name, variants=variants), (name, "v", "r"), seed=number)
        for number, name in enumerate(("one", "two"))
    ]
    fitted = Fitted(tensors={
        "a": {"open": torch.ones(3), "curvature": torch.tensor([1.0, 2.0, 3.0])},
        "b": {"open": torch.ones(1), "curvature": torch.tensor([4.0]), "curvature_tail": torch.tensor(2.0)},
    })  # fmt: skip
    digests = dict.fromkeys(("base", "vlm", "lrm"), "one")
    Recipe(
        method="frism_closed_form", params={"strength": 0.5}, scope="mat", triple=digests,
        spectrum=SpectrumSettings(), coefficients=digest_coefficients(fitted),
    ).save(folders[0] / "variants/frism_closed_form", fitted)  # fmt: skip
    pd.DataFrame({
        "variant": ["frism", "frism", "frism_uniform"],
        "left_whole": [0.2, 0.4, 0.9], "left_chance": [0.1, 0.1, 0.1],
        "right_whole": [0.1, 0.3, 0.9], "right_chance": [0.1, 0.1, 0.1],
    }).to_csv(folders[0] / "tables/overlap.csv", index=False)  # fmt: skip
    return Measuring(read_population(folders), resamples=200)


def test_each_candidate_comes_from_its_place(measuring) -> None:
    table = predictors.collect_triples(measuring).set_index("study")
    one, two = table.loc["one"], table.loc["two"]
    assert one["curvature"] == pytest.approx(12 / 0.25) and math.isnan(two["curvature"])
    assert one["overlap"] == pytest.approx((3 + 2) / 2) and math.isnan(two["overlap"])
    cell = pd.read_csv(measuring.population.triples[0].folder / "tables/cell.csv").set_index(
        ["question", "group"]
    )
    assert one["needed"] == pytest.approx(cell.loc[(VISION, "perception"), "difference"])
    assert one["forgotten"] == pytest.approx(cell.loc[(WORDS, "short chains"), "difference"])
    # The miniature's own weights, which the made-up studies name.
    assert one["tau_r"] == pytest.approx(7.46 / 191.0, rel=1e-2) and one["cosine"] == pytest.approx(
        -0.006, abs=1e-3
    )
    assert predictors.collect_triples(measuring, weights=False)["tau_r"].isna().all()


def test_outcomes_are_the_price_of_injection_and_frisms_advantage(measuring) -> None:
    table = predictors.collect_triples(measuring, weights=False).set_index("study")
    triple = measuring.population.triples[0]
    scores = {
        name: pd.read_csv(triple.folder / f"scores/{name}.csv")
        .query("group == 'reasoning'")["correct"]
        .mean()
        for name in ("frism", "inject")
    }
    assert table.loc["one", "advantage"] == pytest.approx(scores["frism"] - scores["inject"])
    dev = pd.read_csv(triple.folder / "variants/inject/dev.csv")
    last = dev[dev["point"] == 2].groupby("axis")[["n", "correct"]].sum()
    assert table.loc["one", "slope"] > 0.1 and last.loc["perception", "correct"] < last.loc["perception", "n"]


def test_where_nothing_was_asked_in_words_what_was_lost_behind_the_tower_counts(tmp_path) -> None:
    (tmp_path / "tables").mkdir()
    rows = [{"question": VISION, "group": "perception", "difference": 0.6},
            {"question": TOWER, "group": "short chains", "difference": 0.3}]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "tables/cell.csv", index=False)
    assert predictors.read_cell(tmp_path) == {"needed": 0.6, "forgotten": 0.3}
    assert predictors.read_cell(tmp_path / "nowhere") == {}


def make_triples(bases: int, per_base: int, noise: float, seed: int = 0) -> pd.DataFrame:
    """Triples in which `needed` drives the slope within every base, and nothing drives the rest."""
    rng, n = np.random.default_rng(seed), bases * per_base
    frame = pd.DataFrame(
        rng.normal(size=(n, len(predictors.TRIPLES))), columns=[c.name for c in predictors.TRIPLES]
    )
    frame["base"] = [f"B{i}" for i in np.repeat(range(bases), per_base)]
    frame["slope"] = frame["needed"] + noise * rng.normal(size=n)
    return frame


def test_a_strong_relation_is_found_and_noise_is_not() -> None:
    found = predictors.correlate(make_triples(4, 4, noise=0.05)).set_index(["outcome", "candidate"])
    assert found.loc[("slope", "needed"), "verdict"] == "goes with it"
    others = found.drop(("slope", "needed"))
    assert (others["verdict"] == "not shown").all() and len(found) == 24
    assert (found["p_holm"] >= found["p"] - 1e-12).all()


def test_a_relation_between_bases_alone_is_not_shown() -> None:
    frame = make_triples(4, 4, noise=0.05, seed=1)
    level = np.repeat([0.0, 10.0, 20.0, 30.0], 4)
    frame["forgotten"], frame["advantage"] = frame["forgotten"] + level, frame["advantage"] + level
    row = predictors.correlate(frame).set_index(["outcome", "candidate"]).loc[("advantage", "forgotten")]
    assert row["rho"] > 0.8 and row["p_holm"] < 0.05 and row["verdict"] == "not shown"


def test_models_with_other_bytes_are_told(measuring, tmp_path) -> None:
    card = tmp_path / "models.csv"
    assert weights.describe_weights(measuring.population, card) == ""
    pd.DataFrame({"model": ["x"], "digest": ["of another project"]}).to_csv(card, index=False)
    assert weights.describe_weights(measuring.population, card) == ""
    known = ["one", "two", "v", "r"]
    pd.DataFrame({"model": known, "digest": known}).to_csv(card, index=False)
    assert weights.describe_weights(measuring.population, card).startswith("All 4 models have the bytes")
    pd.DataFrame({"model": known[1:], "digest": known[1:]}).to_csv(card, index=False)
    assert weights.describe_weights(measuring.population, Path(card)).startswith(
        "1 of 4 models have other bytes"
    )
