"""Tuning: the grid, resuming, dev scores and the choice, on an untrained triple."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.questions import writing
from benchmarks.registry.lookup import find_all
from benchmarks.stages import tune
from benchmarks.tuning import dev_scores, points
from frism.errors import UserError
from frism.method import discovery
from frism.method.recipe import Recipe

BENCHMARKS = "mini_number,mini_total"


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    writing.write(folder, find_all(BENCHMARKS), {"dev": 6})
    return folder


def run(triple_folders, items: Path, out: Path, **changed: object) -> None:
    options = {
        "variant": out.name,
        "method": "inject",
        "triple": json.dumps({k: str(v) for k, v in triple_folders.items()}),
        "items": items,
        "benchmarks": BENCHMARKS,
        "engine": json.dumps({"batch_size": 8, "max_new_tokens": 4}),
        "calibration": json.dumps({"source": "miniature", "questions": 8}),
        "selection": json.dumps({"perception_budget": 0.02}),
        "out": out,
        "params": "{}",
        "grid": "{}",
        "scope": "mat",
        "seed": 0,
        "code": "c",
        "spectrum": "{}",
        "spectra": None,
        "factors": "auto",
        "reference": None,
        "compare_with": None,
    } | changed
    tune.main(**options)


@pytest.fixture(scope="module")
def unmodified(triple_folders, items: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("variants") / "vlm"
    run(triple_folders, items, out, method="vlm")
    return out


def test_grid_is_the_product_with_defaults_and_fixed_parameters() -> None:
    found = discovery.find("ties")
    grid = points.grid_points(found, {"density": 0.4}, {"strength": [1, 2], "lrm_weight": [0.5, 1.0]})
    assert [(p["strength"], p["lrm_weight"]) for p in grid] == [
        (1.0, 0.5),
        (1.0, 1.0),
        (2.0, 0.5),
        (2.0, 1.0),
    ]
    assert {p["density"] for p in grid} == {0.4}
    with pytest.raises(UserError, match=r"no parameter 'strenght'.*strength"):
        points.grid_points(found, {}, {"strenght": [1.0]})


def test_a_sweep_leaves_scores_choice_and_recipe(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path
) -> None:
    out = tmp_path / "inject"
    run(triple_folders, items, out, grid='{"strength": [0.0, 0.5]}', compare_with=unmodified)
    dev = pd.read_csv(out / "dev.csv")
    assert dev.groupby(["point", "benchmark"])["n"].sum().tolist() == [6, 6, 6, 6]
    choice = json.loads((out / "choice.json").read_text())
    recipe, _ = Recipe.load(out)
    assert recipe.params == choice["params"]
    assert len(pd.read_csv(out / "norms.csv")) == 42
    # Strength 0 is V itself: the same answers, hence the same scores.
    reference = pd.read_csv(unmodified / "dev.csv")
    assert dev[dev["point"] == 0]["correct"].tolist() == reference["correct"].tolist()


def test_an_interrupted_sweep_goes_on_where_it_was(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole" / "frism", tmp_path / "cut" / "frism"
    options = {
        "method": "frism", "params": '{"steps": 2, "batch": 4, "max_new_tokens": 3}',
        "grid": '{"strength": [0.5, 1.0]}', "compare_with": unmodified,
    }  # fmt: skip
    run(triple_folders, items, whole, **options)
    real, calls = dev_scores.dev_scores, []

    def breaks_once(*args: object) -> pd.DataFrame:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tune, "dev_scores", breaks_once)
    with pytest.raises(KeyboardInterrupt):
        run(triple_folders, items, cut, **options)
    assert not (cut / "recipe.json").exists()
    fits = []
    original = method.Method.run_fit
    monkeypatch.setattr(
        method.Method, "run_fit", lambda self, *a, **k: fits.append(1) or original(self, *a, **k)
    )
    run(triple_folders, items, cut, **options)
    assert not fits  # both points had been fitted before
    for name in (
        "dev.csv",
        "choice.json",
        "recipe.json",
        "coefficients.safetensors",
        "learning.csv",
        "norms.csv",
    ):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


FIT = '{"steps": 2, "batch": 4, "max_new_tokens": 3}'


def test_a_fit_that_was_cut_off_finds_its_working_folder_again(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same inputs, the same folder, whatever the parameters; with other inputs what was there goes."""
    original, given = method.Method.run_fit, []

    def interrupted(self, *arguments, workspace: Path, **supplied):
        given.append(workspace)
        workspace.mkdir(parents=True, exist_ok=True)
        (workspace / "state").touch()
        raise KeyboardInterrupt

    options = {"method": "frism", "compare_with": unmodified}
    with monkeypatch.context() as patch:
        patch.setattr(method.Method, "run_fit", interrupted)
        for params, seed in ((FIT, 1), (FIT, 0), (FIT.replace("2", "5"), 0), (FIT, 0)):
            with pytest.raises(KeyboardInterrupt):
                run(triple_folders, items, tmp_path / "frism", params=params, seed=seed, **options)
    assert given[1] == given[2] == given[3] != given[0]
    assert given[1].exists() and not given[0].exists()

    def whole(self, *arguments, workspace: Path, **supplied):
        given.append(workspace)
        (workspace / "state").unlink()  # of the stand-in above, not of a learner
        return original(self, *arguments, workspace=workspace, **supplied)

    monkeypatch.setattr(method.Method, "run_fit", whole)
    run(triple_folders, items, tmp_path / "frism", params=FIT, **options)
    assert given[4] == given[1]
    assert not list((tmp_path / "frism").rglob("work"))


def test_what_a_fit_depends_on_makes_it_anew(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By content: other pictures and questions, another rank; who learns nothing asks for neither."""
    original, fits = method.Method.run_fit, []
    monkeypatch.setattr(
        method.Method, "run_fit", lambda self, *a, **k: fits.append(self.name) or original(self, *a, **k)
    )
    options = {"params": FIT, "compare_with": unmodified}
    for changed in (
        {},
        {},
        {"calibration": json.dumps({"source": "miniature", "questions": 9})},
        {"spectrum": '{"rank": 16}', "factors": "streamed"},
    ):
        run(triple_folders, items, tmp_path / "frism", method="frism", **options | changed)
    assert len(fits) == 3
    recipe, fitted = Recipe.load(tmp_path / "frism")
    assert recipe.spectrum is not None and recipe.spectrum.rank == 16
    assert len(fitted["layers.0.mlp.up_proj.weight/open"]) == 16
    run(triple_folders, items, tmp_path / "inject", calibration="{}", compare_with=unmodified)
    assert Recipe.load(tmp_path / "inject")[0].spectrum is None


def test_kept_spectra_are_read_and_missing_ones_added(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path
) -> None:
    options = {"method": "frism", "params": FIT, "compare_with": unmodified}
    run(triple_folders, items, tmp_path / "kept", spectra=tmp_path / "spectra", **options)
    assert len(list((tmp_path / "spectra").rglob("*.safetensors"))) == 42
    run(triple_folders, items, tmp_path / "computed", **options)
    for name in ("recipe.json", "coefficients.safetensors", "norms.csv"):
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "computed" / name).read_bytes()


def test_what_learns_and_what_answers_are_not_in_memory_together(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = []
    for owner, name in ((method.Method, "run_fit"), (tune, "open_engine")):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, n=name, o=original, **k: happened.append(n) or o(*a, **k))
    run(triple_folders, items, tmp_path / "frism", method="frism", params=FIT,
        grid='{"strength": [0.5, 1.0]}', compare_with=unmodified)  # fmt: skip
    assert happened == ["run_fit", "run_fit", "open_engine"]


def test_a_control_starts_from_its_reference(
    triple_folders, items: Path, unmodified: Path, tmp_path: Path
) -> None:
    params = '{"strength": 1.5, "steps": 2, "batch": 4, "max_new_tokens": 3}'
    run(triple_folders, items, tmp_path / "frism", method="frism", params=params, compare_with=unmodified)
    run(triple_folders, items, tmp_path / "uniform", method="frism_uniform", reference=tmp_path / "frism",
        compare_with=unmodified)  # fmt: skip
    injected = [
        torch.tensor(pd.read_csv(tmp_path / name / "norms.csv")["injected_norm"].to_numpy()).norm()
        for name in ("frism", "uniform")
    ]
    torch.testing.assert_close(injected[0], injected[1], rtol=1e-3, atol=0)


def test_a_grid_without_the_unmodified_model_is_an_error(
    triple_folders, items: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(triple_folders, items, tmp_path / "x", grid='{"strength": [0.1, 0.2]}')
    assert stop.value.code == 2
    assert "--compare-with" in capsys.readouterr().err
    assert not (tmp_path / "x" / "recipe.json").exists()
