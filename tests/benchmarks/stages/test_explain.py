"""Explaining a whole study: every table in both forms, repeatable bytes, empty ones said, bad input named."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from benchmarks.stages import figures
from benchmarks.stages.explain import TABLES, build, main
from benchmarks.stages.summary import render
from benchmarks.stages.tables import build as build_tables
from benchmarks.statistics.paired_tests import holm, mcnemar
from benchmarks.study.results import read_table
from benchmarks.tables.gates.sentences import explain_gates
from frism.errors import UserError
from frism.method.recipe import Recipe
from tests.benchmarks.conftest import invoke, refused
from tests.support.studies import record, study_of
from tests.support.synthetic_study import EXPLAINED, config, make, triple

SUITES = ["mini_number", "mini_count", "mini_total", "mini_net"]
FEW = ["vlm", "inject", "ties", "frism", "frism_uniform", "frism_shuffled"]
FIGURES = ["bimodality", "gates", "overlap", "rank_blocks", "sweep"]


@pytest.fixture(scope="module")
def settings():
    whole = config(benchmarks=SUITES, text=["mini_total"], statistics={"confidence": 0.95, "resamples": 100})
    return whole | {"variants": {v: whole["variants"][v] for v in FEW} | EXPLAINED}


@pytest.fixture(scope="module")
def study(settings):
    return study_of(settings)


@pytest.fixture(scope="module")
def results(tmp_path_factory, settings, study):
    folder = make(tmp_path_factory.mktemp("study"), settings, n=60, n_dev=40)
    build_tables(folder, study, folder / "tables")
    build(folder, study, folder / "tables")
    return folder


@pytest.fixture
def own(results, tmp_path):
    return shutil.copytree(results, tmp_path / "own")


def table(results, name):
    return read_table(results / "tables" / f"{name}.csv")


def test_every_table_in_both_forms(results):
    for name in TABLES:
        assert len(table(results, name)), name
        text = (results / "tables" / f"{name}.md").read_text()
        assert text.startswith("# ") and "nothing to put here" not in text and "nan" not in text


def test_the_same_results_the_same_bytes(results, study, tmp_path):
    shutil.rmtree(results / "explain")  # what was computed of the directions is computed again
    build(results, study, tmp_path)
    for name in TABLES:
        for end in ("csv", "md"):
            assert (tmp_path / f"{name}.{end}").read_bytes() == (
                results / "tables" / f"{name}.{end}"
            ).read_bytes()


def test_gates_are_the_chosen_points(results):
    rows = table(results, "gates_by_layer").query("layer == 'all' and module == 'all'").set_index("variant")
    assert list(rows.index) == ["frism", "frism_layer", "frism_random"]  # controls borrow theirs
    fitted = Recipe.load(results / "variants" / "frism")[1]
    values = np.concatenate([t.numpy() for key, t in fitted.flatten().items() if key.endswith("/open")])
    assert rows.loc["frism", "mean"] == pytest.approx(values.mean(), abs=1e-4)
    assert rows.loc["frism", "directions"] == len(values)
    assert set(table(results, "gates_by_rank")["variant"]) == {"frism", "frism_layer"}
    assert set(table(results, "overlap")["variant"]) == {"frism", "frism_layer"}


def test_energy_is_what_was_injected(results, study):
    rows = table(results, "energy_by_layer")
    assert list(dict.fromkeys(rows["variant"])) == [
        "frism", "frism_uniform", "frism_shuffled", "frism_layer", "frism_random"
    ]  # fmt: skip
    norms = pd.read_csv(results / "variants" / "frism" / "norms.csv").set_index("tensor")["injected_norm"]
    name = "layers.2.mlp.up_proj.weight"
    whole = {
        n: (triple().read("lrm", n) - triple().read("base", n)).square().sum().item() for n in norms.index
    }
    row = rows.query("variant == 'frism' and layer == 'all'").iloc[0]
    assert row["injected_energy"] == pytest.approx((norms**2).sum(), rel=1e-3)
    assert row["tau_r_energy"] == pytest.approx(sum(whole.values()), rel=1e-3) and name in whole
    layers = rows.query("variant == 'frism' and layer != 'all'")
    assert layers["injected_energy"].sum() == pytest.approx(row["injected_energy"], rel=1e-3)
    assert layers["share_of_injected"].sum() == pytest.approx(1, abs=1e-3)


def test_bimodality_has_every_point(results, settings):
    rows = table(results, "bimodality")
    own = rows[rows["variant"] == "frism"]
    assert list(zip(own["strength"], own["alpha"], strict=True)) == [
        (s, a) for s in (0.5, 1.0) for a in (0.05, 0.1, 0.3)
    ]
    assert (own["chosen"] == "yes").sum() == 1
    assert (rows[["shut", "between", "open"]].sum(axis=1) - 1).abs().max() < 2e-4
    assert [sum(json.loads(h)) for h in rows["histogram"]] == rows["directions"].tolist()


def test_ablations_are_paired_with_frism(results, settings):
    rows = table(results, "ablations")
    assert set(rows["variant"]) == {"frism_layer", "frism_random"} and set(rows["against"]) == {"frism"}
    scores = {
        v: pd.read_csv(results / "scores" / f"{v}.csv").query("axis == 'reasoning'")["correct"].to_numpy()
        for v in ("frism", "frism_layer")
    }
    row = rows.query("variant == 'frism_layer' and group == 'reasoning'").iloc[0]
    gained, lost = (
        (scores["frism_layer"] > scores["frism"]).sum(),
        (scores["frism_layer"] < scores["frism"]).sum(),
    )
    assert (row["gained"], row["lost"]) == (gained, lost)
    assert row["p"] == pytest.approx(float(mcnemar(gained, lost)), rel=1e-3)
    assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"]), rel=1e-2)
    energy = table(results, "energy_by_layer").query("layer == 'all'").set_index("variant")["ratio"]
    assert row["energy"] == energy["frism_layer"] and row["against_energy"] == energy["frism"]


def test_words(results, study):
    said = explain_gates(study, results / "tables")
    assert [line.split("`")[1] for line in said["gates"]] == ["frism", "frism_layer", "frism_random"]
    assert len(said["overlap"]) == 4 and "tendency" in said["overlap"][0]
    assert "tendency" not in said["overlap"][2]  # one gate a matrix correlates with nothing
    assert "rises in" in said["bimodality"][0] and "of 6 points" in said["bimodality"][0]
    assert "(n = 80)" in said["sweeps"][0] and "`ip_released`" in said["sweeps"][0]
    assert "block 3" in said["rank_blocks"][0] and "(n = 80)" in said["rank_blocks"][1]
    assert {f.variant for f in said["ablations"]["reasoning"]} == {"frism_layer", "frism_random"}


def test_the_summary_says_it(results, study):
    text = render(study, results / "tables", ())
    for title in (
        "Other gates against FRISM's",
        "Inside the gates",
        "Sweeps with FRISM's point",
        "Rank by rank",
    ):
        assert f"## {title}\n" in text
    for name in ("gates", "bimodality", "sweep", "rank_blocks"):
        assert f"(figures/{name}.png)" in text
    assert "- reasoning (n = 120): better" in text and "\n\n\n" not in text and "nan" not in text.lower()


def test_a_study_without_gates(settings, results, tmp_path):
    bare = {"variants": {v: settings["variants"][v] for v in ("vlm", "inject")}}
    lines = study_of(settings | bare)
    build_tables(results, lines, tmp_path / "tables")
    build(results, lines, tmp_path / "tables")
    for name in TABLES:
        assert table(tmp_path, name).empty, name
        assert "This study has nothing to put here." in (tmp_path / "tables" / f"{name}.md").read_text()
    assert not any(explain_gates(lines, tmp_path / "tables").values())
    assert "Inside the gates" not in render(lines, tmp_path / "tables", ())
    figures.build(tmp_path, lines, tmp_path / "figures")
    for name in FIGURES:
        assert (tmp_path / "figures" / f"{name}.png").exists()


def test_the_command_line(results, settings, tmp_path):
    done = invoke(main, "--study", record(results, settings), "--out", tmp_path / "tables")
    assert done.exit_code == 0, done.stderr
    for name in TABLES:
        assert (tmp_path / "tables" / f"{name}.csv").read_bytes() == (
            results / "tables" / f"{name}.csv"
        ).read_bytes()
    assert refused(invoke(main, "--study", tmp_path / "no" / "study.json"), "no/study.json is missing")


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("variants/frism/coefficients.safetensors", b"no", r"frism/coefficients\.safetensors is not what"),
        ("variants/frism/points/2/recipe.json", b"{", r"points/2/recipe\.json is not valid JSON"),
        ("variants/frism/norms.csv", b"a,b\n1,2\n", r"norms\.csv lacks the columns tensor and injected_norm"),
        ("variants/frism/norms.csv", b"tensor,injected_norm\n", r"norms\.csv lacks the tensor layers\.0"),
    ],
)
def test_a_broken_file_is_named(own, study, file, content, complaint):
    (own / file).write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        build(own, study, own / "tables")


def test_a_missing_norms_file_is_named(own, study):
    (own / "variants" / "frism" / "norms.csv").unlink()
    with pytest.raises(UserError, match=r"norms\.csv is missing"):
        build(own, study, own / "tables")
