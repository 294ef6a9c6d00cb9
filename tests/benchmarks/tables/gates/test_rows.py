"""Rows about gates: counts and quantiles, overlaps against matrices, bimodality of known distributions."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tables.gates import bimodality, open_gates, overlap
from benchmarks.tables.gates.directions import Directions
from benchmarks.tables.gates.energy import build_energy_rows
from benchmarks.tables.gates.open_fractions import OpenFractions, locate_matrix, order_of
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.spectra.settings import SpectrumSettings
from tests.support.studies import study_of

SETTINGS = SpectrumSettings()
NAMES = [
    "layers.0.self_attn.q_proj.weight",
    "layers.0.mlp.up_proj.weight",
    "layers.1.self_attn.q_proj.weight",
]
RECIPE = Recipe(
    method="frism", params={"strength": 0.5, "alpha": 0.1}, scope="mat", triple={}, spectrum=SETTINGS
)


def orthonormal(rng, rows, columns):
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def matrix(rng, rows=12, columns=9, leading=2):
    """U, s, V^T and Directions that belong to them, with a random leading subspace."""
    u, v = orthonormal(rng, rows, columns), orthonormal(rng, columns, columns)
    s = np.sort(rng.random(columns))[::-1]
    p, q = orthonormal(rng, rows, leading), orthonormal(rng, columns, leading)
    own = Directions(
        s, ((p.T @ u) ** 2).sum(0), ((q.T @ v) ** 2).sum(0), 0.0, 0.0, 0.0, leading, 0.5, (rows, columns)
    )
    return u, s, v, p, q, own


@pytest.fixture
def opened():
    rng = np.random.default_rng(0)
    return OpenFractions("frism", 0, RECIPE, {n: rng.random(20) for n in NAMES}, {NAMES[1]: 0.25})


@pytest.fixture
def known():
    rng = np.random.default_rng(1)
    own = Directions(
        np.sort(rng.random(20))[::-1], rng.random(20), rng.random(20), 0.5, 0.1, 0.2, 3, 0.5, (20, 30)
    )
    plain = replace(own, tail=0.0)
    return {SETTINGS: {NAMES[0]: plain, NAMES[1]: own, NAMES[2]: plain}}


def test_names():
    assert locate_matrix("layers.12.mlp.down_proj.weight") == (12, "down")
    assert sorted(set(NAMES), key=order_of) == NAMES
    assert order_of("layers.2.self_attn.o_proj.weight") < order_of("layers.10.self_attn.q_proj.weight")


def test_by_layer_counts_every_direction(opened):
    rows = open_gates.build_layer_rows({"frism": opened}).set_index(["layer", "module"])
    assert list(rows.index) == [("all", "all"), ("all", "q"), ("all", "up"), ("0", "all"), ("0", "q"),
                                ("0", "up"), ("1", "all"), ("1", "q")]  # fmt: skip
    values = np.concatenate([opened.opened[NAMES[0]], opened.opened[NAMES[2]]])
    row = rows.loc[("all", "q")]
    assert row["directions"] == 40 and row["mean"] == pytest.approx(values.mean())
    assert row["q90"] == pytest.approx(np.quantile(values, 0.9))
    assert (row["shut"], row["open"]) == ((values < 0.1).mean(), (values > 0.9).mean())


def test_by_rank_covers_every_direction_and_the_tail(opened, known):
    rows = open_gates.build_rank_rows({"frism": opened}, known)
    everywhere = rows[rows["module"] == "all"].set_index("tenth")
    assert list(everywhere.index) == [*map(str, range(1, 11)), "tail"]
    assert everywhere["directions"].sum() == 61 and everywhere["energy_share"].sum() == pytest.approx(1)
    first = np.concatenate([opened.opened[n][:2] for n in NAMES])
    assert everywhere.loc["1", "mean"] == pytest.approx(first.mean())
    assert everywhere.loc["tail", "mean"] == 0.25
    assert everywhere.loc["tail", "opened_share"] == pytest.approx(0.25**2)
    assert "tail" not in set(rows.loc[rows["module"] == "q", "tenth"])
    random = replace(opened, recipe=RECIPE.model_copy(update={"method": "frism_random"}))
    assert open_gates.build_rank_rows({"frism_random": random}, known).empty


@pytest.mark.parametrize("count", [1, 3, 10, 11, 37])
def test_tenths_of_any_number_of_directions(count, known):
    opened = OpenFractions("frism", 0, RECIPE, {NAMES[0]: np.linspace(1, 0, count)}, {})
    own = replace(known[SETTINGS][NAMES[0]], s=np.ones(count))
    rows = open_gates.build_rank_rows({"frism": opened}, {SETTINGS: {NAMES[0]: own}})
    whole = rows[rows["module"] == "all"]
    assert whole["directions"].sum() == count and whole["mean"].is_monotonic_decreasing


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_overlap_is_the_share_of_the_updates_energy(seed):
    rng = np.random.default_rng(seed)
    u, s, v, p, q, own = matrix(rng)
    weights = rng.random(9)
    opened = OpenFractions("frism", 0, RECIPE, {NAMES[0]: weights}, {})
    row = overlap.build_overlap_rows({"frism": opened}, {SETTINGS: {NAMES[0]: own}}).iloc[0]
    for measure, gate in (("whole", np.ones(9)), ("opened", weights), ("shut", 1 - weights)):
        update = (u * gate * s) @ v.T
        energy = (update**2).sum()
        assert row[f"left_{measure}"] == pytest.approx(((p.T @ update) ** 2).sum() / energy)
        assert row[f"right_{measure}"] == pytest.approx(((update @ q) ** 2).sum() / energy)
    assert (row["left_chance"], row["right_chance"]) == (2 / 12, 2 / 9)


def test_shuffled_gates_overlap_as_the_whole_does():
    rng = np.random.default_rng(0)
    *_, own = matrix(rng, 60, 50, 5)
    own = replace(own, s=1 + 0.1 * rng.random(50))
    found = []
    for _ in range(400):
        opened = OpenFractions("frism", 0, RECIPE, {NAMES[0]: rng.random(50)}, {})
        found.append(overlap.build_overlap_rows({"frism": opened}, {SETTINGS: {NAMES[0]: own}}).iloc[0])
    rows = pd.DataFrame(found)
    assert rows["left_opened"].mean() == pytest.approx(rows["left_whole"].mean(), rel=0.03)
    assert abs(rows["left_correlation"].mean()) < 0.03


def test_the_correlation_holds_the_rank_fixed(known):
    ranks = np.arange(200)
    rng = np.random.default_rng(0)
    noise, other = rng.normal(size=200), rng.normal(size=200)
    # Both fall along the rank and have nothing else in common.
    apart = overlap._correlate(0.1 * noise - ranks / 100, 0.1 * other - ranks / 100)
    assert abs(apart) < 0.15
    assert overlap._correlate(noise - ranks, noise - 2 * ranks) > 0.2
    assert math.isnan(overlap._correlate(np.full(200, 0.5), other))


def test_averages_by_module(opened, known):
    rows = overlap.build_overlap_rows({"frism": opened}, known)
    means = overlap.average_overlap(rows, "module").set_index("module")
    assert list(means.index) == ["all", "q", "up"] and list(means["matrices"]) == [3, 2, 1]
    assert means.loc["q", "left_opened"] == pytest.approx(
        rows.loc[rows["module"] == "q", "left_opened"].mean()
    )
    by_layer = overlap.average_overlap(rows, "layer")
    assert list(by_layer["layer"]) == ["0", "1"] and list(by_layer["matrices"]) == [2, 1]


def test_the_coefficient_of_known_distributions():
    rng = np.random.default_rng(0)
    assert bimodality.compute_sarle(rng.random(100_000)) == pytest.approx(bimodality.UNIFORM, abs=5e-3)
    assert bimodality.compute_sarle(rng.normal(size=100_000)) == pytest.approx(1 / 3, abs=5e-3)
    assert bimodality.compute_sarle(np.repeat([0.0, 1.0], 1000)) == pytest.approx(1, abs=5e-3)
    assert math.isnan(bimodality.compute_sarle(np.full(50, 0.5))) and math.isnan(
        bimodality.compute_sarle(np.array([0.0, 1.0]))
    )


@given(st.lists(st.floats(0, 1), min_size=6, max_size=40), st.floats(0.1, 3), st.floats(-2, 2))
def test_the_coefficient_ignores_scale_and_place(values, scale, shift):
    values = np.round(np.array(values), 3)
    if np.ptp(values) > 0.01:
        here, there = bimodality.compute_sarle(values), bimodality.compute_sarle(values * scale + shift)
        assert here == pytest.approx(there, rel=1e-6)


def test_energy_counts_the_matrices_of_a_variants_own_scope(tmp_path):
    """Attention's matrices are not missing in a variant that merges the MLP alone; others are."""
    whole = {f"layers.0.{part}_proj.weight": 4.0 for part in ("self_attn.q", "mlp.up", "mlp.down")}
    variants = {"vlm": {"method": "vlm"}, "narrow": {"method": "frism", "scope": "mat_mlp"}}
    folder = tmp_path / "variants/narrow"
    folder.mkdir(parents=True)
    lines = [f"layers.0.mlp.{part}_proj.weight,1.0" for part in ("up", "down")]
    (folder / "norms.csv").write_text("\n".join(["tensor,injected_norm", *lines]) + "\n")
    rows = build_energy_rows(tmp_path, study_of({"variants": variants}), ["narrow"], whole)
    assert rows["matrices"].tolist() == [2, 2] and rows["ratio"].tolist() == [0.25, 0.25]
    (folder / "norms.csv").write_text(f"tensor,injected_norm\n{lines[0]}\n")
    with pytest.raises(UserError, match="lacks the tensor"):
        build_energy_rows(tmp_path, study_of({"variants": variants}), ["narrow"], whole)
