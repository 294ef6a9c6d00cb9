"""Tuning: the grid, resuming, dev scores and the choice, on an untrained triple."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.answering import answer, predictions
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import tune
from benchmarks.study.layout import Layout
from benchmarks.study.search_settings import SearchSettings
from benchmarks.study.slices.tune_slice import TuneSlice
from benchmarks.tuning import dev_scores, parzen, points, search
from frism.errors import UserError
from frism.merging.export import Job, export
from frism.method import discovery
from frism.method.fitting import DevScores
from frism.method.method import Method
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support.fits import count_fits
from tests.support.loads import count_loads
from tests.support.studies import record, study_of

BENCHMARKS = ["mini_number", "mini_total"]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    writing.write_items(folder, [find(name) for name in BENCHMARKS], {"dev": 6})
    return folder


Run = Callable[..., Path]
FIT = {"steps": 2, "batch": 4, "max_new_tokens": 3}


@pytest.fixture(scope="module")
def unmodified(items: Path, triple_settings: dict[str, str], tmp_path_factory) -> Path:
    """The results of a study in which the unmodified model was tuned."""
    results = tmp_path_factory.mktemp("unmodified")
    (results / "items").symlink_to(items)
    tune.run(slice_of(triple_settings, {}), "vlm", Layout(results), "c")
    return results


def slice_of(triple: dict[str, str], variants: dict[str, Any], **changes: Any) -> TuneSlice:
    settings = {
        "triple": triple,
        "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 4},
        "benchmarks": BENCHMARKS,
        "calibration": {"source": "miniature", "questions": 8},
        "variants": {"vlm": {"method": "vlm"}} | variants,
    }
    return TuneSlice.of(study_of(settings | changes))


@pytest.fixture
def run(triple_settings: dict[str, str], unmodified: Path, tmp_path: Path) -> Run:
    """A function that tunes one variant in a study of its own and returns the variant's folder."""

    def tuned(results: str, variant: str, given: dict[str, Any], **changes: Any) -> Path:
        layout = Layout(tmp_path / results)
        if not layout.root.exists():
            shutil.copytree(unmodified, layout.root, symlinks=True)
        others = changes.pop("variants", {})
        study = slice_of(triple_settings, others | {variant: given}, **changes)
        tune.run(study, variant, layout, "c")
        return layout.variant(variant)

    return tuned


def test_grid_is_the_product_with_defaults_and_fixed_parameters() -> None:
    found = discovery.find("ties")
    grid = points.list_points(found, {"density": 0.4}, {"strength": [1, 2], "lrm_weight": [0.5, 1.0]})
    assert [(p["strength"], p["lrm_weight"]) for p in grid] == [
        (1.0, 0.5),
        (1.0, 1.0),
        (2.0, 0.5),
        (2.0, 1.0),
    ]
    assert {p["density"] for p in grid} == {0.4}
    with pytest.raises(UserError, match=r"no parameter 'strenght'.*strength"):
        points.list_points(found, {}, {"strenght": [1.0]})


def test_a_sweep_leaves_scores_choice_and_recipe(run: Run, unmodified: Path) -> None:
    out = run("study", "inject", {"method": "inject", "grid": {"strength": [0.0, 0.5]}})
    dev = pd.read_csv(out / "dev.csv")
    assert dev.groupby(["point", "benchmark"])["n"].sum().tolist() == [6, 6, 6, 6]
    choice = json.loads((out / "choice.json").read_text())
    recipe, _ = Recipe.load(out)
    assert recipe.params == choice["params"]
    assert len(pd.read_csv(out / "norms.csv")) == 42
    # Strength 0 is V itself: the same answers, hence the same scores.
    reference = pd.read_csv(unmodified / "variants/vlm/dev.csv")
    assert dev[dev["point"] == 0]["correct"].tolist() == reference["correct"].tolist()


def test_a_variant_may_have_a_scope_and_a_base_of_its_own(run: Run, triple: Triple) -> None:
    given = {"method": "inject", "params": {"strength": 0.5}}
    plain = Recipe.load(run("plain", "inject", given))[0]
    assert "base" not in json.loads(plain.model_dump_json())  # recipes of before stay what they are
    other = str(triple.lrm_folder)
    out = run("own", "inject", given | {"scope": "mat_attn", "base": other})
    norms = pd.read_csv(out / "norms.csv")
    assert len(norms) == 4 * 6 and (norms["injected_norm"] == 0).all()  # R - R
    recipe = Recipe.load(out)[0]
    assert (recipe.scope, recipe.base) == ("mat_attn", other)
    assert recipe.triple["base"] == triple.digest["lrm"] and recipe.key != plain.key
    assert recipe.key == recipe.model_copy(update={"base": "elsewhere"}).key  # content counts


@pytest.mark.parametrize("method", ["frism", "frism_closed_form"])
def test_gates_are_learned_in_the_scope_of_the_variant(run: Run, method: str) -> None:
    params = FIT if method == "frism" else {"samples": 1, "batch": 4, "max_new_tokens": 3}
    out = run("study", "gated", {"method": method, "params": params, "scope": "mat_mlp"})
    _, fitted = Recipe.load(out)
    assert len(fitted.tensors) == 3 * 6 and all(".mlp." in name for name in fitted.tensors)


def test_a_search_takes_the_place_of_a_grid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials are points like a grid's; one that was cut off goes on with the very same trials."""
    ranges = {"strength": {"low": 0.1, "high": 1.5}}
    given = {"method": "inject", "search": {"trials": 4, "ranges": ranges}}
    whole = run("whole", "inject", given)
    dev = pd.read_csv(whole / "dev.csv")
    strengths = [json.loads(params)["strength"] for params in dev["params"].drop_duplicates()]
    assert len(strengths) == 4 == len(set(strengths)) and all(0.1 <= s <= 1.5 for s in strengths)
    choice = json.loads((whole / "choice.json").read_text())
    assert choice["params"]["strength"] in strengths
    real, calls = dev_scores.score_on_dev, []

    def breaks_once(*args: object) -> pd.DataFrame:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tune, "score_on_dev", breaks_once)
    with pytest.raises(KeyboardInterrupt):
        run("cut", "inject", given)
    again = run("cut", "inject", given)
    assert (again / "dev.csv").read_bytes() == (whole / "dev.csv").read_bytes()


def test_a_search_goes_where_scores_are_good() -> None:
    """Scores that are known: near its best value more is tried than far away, numbers stay in their type."""
    method, tried = discovery.find("truncated"), []

    def score(number: int, params: dict[str, Any]) -> float:
        tried.append(params)
        assert number == len(tried) - 1
        return -abs(params["strength"] - 0.7) + 0.5 * params["match_norm"]

    settings = SearchSettings.model_validate({
        "trials": 40, "choices": {"match_norm": [False, True]},
        "ranges": {"strength": {"low": 0, "high": 2}, "rank": {"low": 1, "high": 64, "log": True}},
    })  # fmt: skip
    late: list[dict[str, Any]] = []  # the second halves of three searches
    for seed in (0, 1, 2):
        tried.clear()
        parzen.search(method, {}, settings, seed, score)
        assert all(type(params["rank"]) is int and 1 <= params["rank"] <= 64 for params in tried)
        late += tried[20:]
    assert sum(params["match_norm"] for params in late) > 42, "by chance 30"
    assert sum(abs(params["strength"] - 0.7) < 0.3 for params in late) > 27, "by chance 18"
    last = [dict(params) for params in tried]
    tried.clear()
    parzen.search(method, {}, settings, 2, score)
    assert tried == last


def test_an_interrupted_sweep_goes_on_where_it_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"method": "frism", "params": FIT, "grid": {"strength": [0.5, 1.0]}}
    whole = run("whole", "frism", given)
    real, calls = dev_scores.score_on_dev, []

    def breaks_once(*args: object) -> pd.DataFrame:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tune, "score_on_dev", breaks_once)
    with pytest.raises(KeyboardInterrupt):
        run("cut", "frism", given)
    cut = whole.parents[2] / "cut/variants/frism"
    assert cut.is_dir() and not (cut / "recipe.json").exists()
    fits = count_fits(monkeypatch)
    run("cut", "frism", given)
    assert not fits  # both points had been fitted before
    for name in FILES:
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


FILES = ("dev.csv", "choice.json", "recipe.json", "coefficients.safetensors", "learning.csv", "norms.csv")


def test_a_fit_that_was_cut_off_finds_its_working_folder_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same inputs, the same folder, whatever the parameters; with other inputs what was there goes."""
    original, given = Method.run_fit, []

    def interrupted(self, fitting, params):
        given.append(fitting.workspace)
        fitting.workspace.mkdir(parents=True, exist_ok=True)
        (fitting.workspace / "state").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Method, "run_fit", interrupted)
        for params, seed in ((FIT, 1), (FIT, 0), (FIT | {"steps": 5}, 0), (FIT, 0)):
            with pytest.raises(KeyboardInterrupt):
                run("study", "frism", {"method": "frism", "params": params}, seed=seed)
    assert given[1] == given[2] == given[3] != given[0]
    assert given[1].exists() and not given[0].exists()

    def whole(self, fitting, params):
        given.append(fitting.workspace)
        (fitting.workspace / "state").unlink()  # of the stand-in above, not of a learner
        return original(self, fitting, params)

    monkeypatch.setattr(Method, "run_fit", whole)
    out = run("study", "frism", {"method": "frism", "params": FIT})
    assert given[4] == given[1]
    assert not list(out.rglob("work"))


def test_what_a_fit_depends_on_makes_it_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By content: other pictures and questions, another rank; who learns nothing asks for neither."""
    fits = count_fits(monkeypatch)
    for changed in (
        {},
        {},
        {"calibration": {"source": "miniature", "questions": 9}},
        {"spectrum": {"rank": 16, "factors": "streamed"}},
    ):
        out = run("study", "frism", {"method": "frism", "params": FIT}, **changed)
    assert len(fits) == 3
    recipe, fitted = Recipe.load(out)
    assert recipe.spectrum is not None and recipe.spectrum.rank == 16
    assert len(fitted.tensors["layers.0.mlp.up_proj.weight"]["open"]) == 16
    plain = run("study", "inject", {"method": "inject"}, calibration=None)
    assert Recipe.load(plain)[0].spectrum is None


def test_kept_spectra_are_read_and_missing_ones_added(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"method": "frism", "params": FIT}
    kept = run("study", "frism", given)
    spectra = kept.parents[1] / "spectra"
    first = {path: path.stat().st_mtime_ns for path in spectra.rglob("*.safetensors")}
    assert len(first) == 42
    lost = next(iter(first))
    lost.unlink()
    before = {name: (kept / name).read_bytes() for name in FILES}
    shutil.rmtree(kept)
    run("study", "frism", given)
    assert {name: (kept / name).read_bytes() for name in FILES} == before
    again = {path: path.stat().st_mtime_ns for path in spectra.rglob("*.safetensors")}
    assert {path for path in first if again[path] != first[path]} == {lost}


def test_what_learns_and_what_answers_are_not_in_memory_together(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = []
    for owner, name in ((Method, "run_fit"), (answer, "open_engine")):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, n=name, o=original, **k: happened.append(n) or o(*a, **k))
    run("study", "frism", {"method": "frism", "params": FIT, "grid": {"strength": [0.5, 1.0]}})
    assert happened == ["run_fit", "run_fit", "open_engine"]


@pytest.mark.parametrize(
    ("variant", "given"),
    [
        ("inject", {"method": "inject", "grid": {"strength": [0.0, 0.5]}}),
        ("frism", {"method": "frism", "params": FIT}),
        ("search", {"method": "evolve_layers", "params": {"evaluations": 2}}),
    ],
)
def test_a_run_whose_dev_answers_are_there_loads_no_model(
    run: Run, monkeypatch: pytest.MonkeyPatch, variant: str, given: dict[str, Any]
) -> None:
    out = run("study", variant, given)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    loads = count_loads(monkeypatch)
    run("study", variant, given)
    assert not loads
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    answers = out / "points/0/dev.jsonl"
    answers.write_text(answers.read_text().split("\n", 1)[1])
    run("study", variant, given)
    assert len(loads) == 1, "an answer was missing"
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_control_starts_from_its_reference(run: Run) -> None:
    learned = {"frism": {"method": "frism", "params": FIT | {"strength": 1.5}}}
    folders = [
        run("study", "frism", learned["frism"]),
        run("study", "uniform", {"method": "frism_uniform", "reference": "frism"}, variants=learned),
    ]
    injected = [
        torch.tensor(pd.read_csv(folder / "norms.csv")["injected_norm"].to_numpy()).norm()
        for folder in folders
    ]
    torch.testing.assert_close(injected[0], injected[1], rtol=1e-3, atol=0)


def test_questions_that_are_missing_are_named_before_anything_is_fitted(
    triple_settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, study = count_fits(monkeypatch), slice_of(triple_settings, {"frism": {"method": "frism"}})
    with pytest.raises(UserError, match=r"items holds no finished items"):
        tune.run(study, "frism", Layout(tmp_path), "c")
    with pytest.raises(UserError, match=r"the study has no variant 'frizm'.*Did you mean 'frism'"):
        tune.run(study, "frizm", Layout(tmp_path), "c")
    assert not fits and not list(tmp_path.iterdir())


def test_log_lines_carry_the_variants_name(
    triple_settings: dict[str, str], items: Path, tmp_path: Path
) -> None:
    """The command line itself: its messages and the library's go to stderr, and libraries' bars nowhere."""
    settings = {
        "triple": triple_settings, "benchmarks": BENCHMARKS,
        "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 2},
    }  # fmt: skip
    (tmp_path / "items").symlink_to(items)
    arguments = ["--study", record(tmp_path, settings), "--variant", "vlm"]
    command = [sys.executable, "-m", "benchmarks.stages.tune", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "vlm: point 1 of 1: {}" in lines
    assert all(line.startswith("vlm: ") for line in lines), done.stderr


SEARCH = {
    "method": "evolve_layers", "params": {"evaluations": 9, "start": 0.5}, "grid": {"spread": [0.2, 0.1]},
}  # fmt: skip
ANY_LOSS = {"perception_budget": 1.0}


def test_a_search_takes_the_candidate_that_dev_likes_best(
    run: Run, unmodified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dev score is the best that any candidate had; killed and started again, it asks nothing twice."""
    seen: list[DevScores] = []
    make = search.make_scorer

    def watched(*given: Any) -> Any:
        score = make(*given)

        def watch(*candidate: Any) -> DevScores:
            seen.append(score(*candidate))
            if len(seen) == 12:
                raise KeyboardInterrupt
            return seen[-1]

        return watch

    monkeypatch.setattr(tune, "make_scorer", watched)
    with pytest.raises(KeyboardInterrupt):
        run(
            "search",
            "searched",
            SEARCH | {"grid": {"spread": [0.2, 0.1]}},
            selection={"perception_budget": 1.0},
        )
    asked: list[str] = []
    answers = TransformersEngine.answers

    def counted(self: TransformersEngine, batches: Any) -> Any:
        asked.extend(batch.digest for batch in batches)
        return answers(self, batches)

    monkeypatch.setattr(TransformersEngine, "answers", counted)
    before = len(seen) - 1
    out = run("search", "searched", SEARCH, selection=ANY_LOSS)
    assert len(set(asked)) == len(asked) > 0
    _, fitted = Recipe.load(out)
    assert fitted.flatten().keys() == {"layers"}
    choice = json.loads((out / "choice.json").read_text())
    assert before > 0
    assert max(c["reasoning"] for c in choice["candidates"]) == max(scores.reasoning for scores in seen)
    assert not (out / "work").exists()


def test_a_search_keeps_to_the_perception_budget() -> None:
    within, without = DevScores(0.5, 0.3, floor=0.5), DevScores(0.4, 0.9, floor=0.5)
    nothing = DevScores(0.0, 1.0, floor=0.5)
    assert within.objective > without.objective > nothing.objective


def test_numbers_of_the_whole_model_are_fitted_without_questions(run: Run) -> None:
    out = run("study", "metagpt", {"method": "metagpt"}, calibration=None)
    _, fitted = Recipe.load(out)
    assert sum(value.item() for value in fitted.model.values()) == pytest.approx(1)
    assert not fitted.tensors
    assert len(pd.read_csv(out / "norms.csv")) == 42


def test_a_checkpoint_is_asked_as_it_is(
    run: Run,
    items: Path,
    unmodified: Path,
    triple_settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """V itself as a checkpoint answers like V; another folder of weights like a merge that equals it."""
    own = unmodified / "items_of"
    own.mkdir(exist_ok=True)
    for name in ("same", "other"):
        (own / name).symlink_to(items)
    same = run("study", "same", {"checkpoint": triple_settings["vlm"]})
    assert (same / "dev.csv").read_text().replace("same", "vlm") == (
        unmodified / "variants/vlm/dev.csv"
    ).read_text()
    recipe, fitted = Recipe.load(same)
    assert recipe.checkpoint is not None
    assert recipe.checkpoint.folder == triple_settings["vlm"]
    assert not fitted
    triple = Triple.open(**triple_settings)
    merged = Recipe.make(triple, "inject", {"strength": 3.0})
    export(Job.from_recipe(triple, merged, fitted, tmp_path / "merged"))
    other = run("study", "other", {"checkpoint": str(tmp_path / "merged")})
    with monkeypatch.context() as patch:
        loads = count_loads(patch)
        run("study", "other", {"checkpoint": str(tmp_path / "merged")})
        assert not loads
    injected = run("study", "inject", {"method": "inject", "params": {"strength": 3.0}})
    scores = [pd.read_csv(folder / "dev.csv")["correct"].tolist() for folder in (other, injected)]
    assert scores[0] == scores[1]
    answers = [predictions.read_predictions(folder / "points/0/dev.jsonl") for folder in (other, injected)]
    assert [line.raw for line in answers[0]] == [line.raw for line in answers[1]]
