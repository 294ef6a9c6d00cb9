"""What the rules are told of a study's jobs: the files they wait for, and what makes them run again."""

from pathlib import Path

import pytest

from benchmarks.tables.kinds import OVERALL
from frism.errors import UserError
from tests.support.studies import study_of
from workflow import jobs as jobs_module
from workflow.code_digest import ROOT
from workflow.jobs import Jobs, check_writable, format_variant_option, get_variant, list_spectrum_options

SETTINGS = {
    "study": "small",
    "benchmarks": ["mini_number", "mini_total"],
    "text": ["mini_total"],
    "calibration": {"questions": 8},
    "spectrum": {"parts": 2, "rank": 16},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "frism": {"method": "frism"},
        "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
        "aloud": {"method": "vlm", "prompting": {"system_prompt": "Think aloud."}},
    },
}
R = "results/small"


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    return Jobs(study_of(SETTINGS))


def changed(**changes: object) -> Jobs:
    return Jobs(study_of(SETTINGS | changes))


def test_jobs_wait_for_what_they_start_from(jobs):
    assert jobs.list_prerequisites("vlm") == []
    assert jobs.list_prerequisites("inject") == [f"{R}/variants/vlm/dev.csv"]
    both = [f"{R}/variants/frism/dev.csv", f"{R}/variants/vlm/dev.csv"]
    assert jobs.list_prerequisites("frism_uniform") == both
    assert jobs.spectra("frism") == [f"{R}/spectra/part{part}of2.json" for part in (1, 2)]
    assert jobs.spectra("inject") == jobs.spectra("lrm") == []
    assert jobs.items("vlm") == f"{R}/items" and jobs.items("aloud") == f"{R}/items_of/aloud"


def test_folders_of_questions_name_their_variant():
    assert get_variant("items") is None and format_variant_option("items") == ""
    assert (
        get_variant("items_of/aloud") == "aloud"
        and format_variant_option("items_of/aloud") == "--variant aloud"
    )


def test_the_oracle_is_every_grid_point_where_the_study_asks(jobs):
    assert jobs.oracle == []
    asked = changed(selection={"oracle": True}).oracle
    assert f"{R}/variants/inject/points/1/test.csv" in asked and len(asked) == 6


def test_nobody_waits_for_spectra_that_nobody_needs():
    few = {name: SETTINGS["variants"][name] for name in ("vlm", "inject")}
    assert changed(variants=few).all_spectra == []


@pytest.mark.parametrize(
    ("changes", "reruns"),
    [
        ({"statistics": {"confidence": 0.9}}, set()),
        ({"selection": {"oracle": True}}, set()),
        ({"selection": {"perception_budget": 0.1}}, {"describe_fit"}),
        ({"questions": {"dev": 61, "test": 100}}, {"describe_questions"}),
        ({"questions": {"dev": 60, "test": 100, "text": 7}}, {"text"}),
        ({"seed": 1}, {"describe_questions", "describe_fit", "text"}),
        ({"judge": {"address": "http://localhost", "model": "m"}}, {"describe_scores"}),
        ({"calibration": {"questions": 9}}, set()),
        ({"spectrum": {"rank": 8}}, set()),
        ({"prompting": {"max_pixels": 5000}}, {"describe_questions"}),
        ({"text": ["mini_net"]}, {"text"}),
        (
            {"engine": {"name": "transformers", "max_new_tokens": 9}},
            {"describe_fit", "describe_answers", "text"},
        ),
    ],
)
def test_an_edit_concerns_the_jobs_that_read_it(jobs, changes, reruns):
    """Beside the tables, which may say anything of the study; here of a merge that learns nothing."""

    def values(of: Jobs) -> dict[str, str]:
        own = {
            name: getattr(of, name)("inject")
            for name in ("describe_fit", "describe_answers", "describe_scores")
        }
        return own | {"describe_questions": of.describe_questions(None), "text": of.text}

    other = changed(**changes)
    assert {name for name, value in values(other).items() if values(jobs)[name] != value} == reruns
    assert other.whole != jobs.whole


def test_a_new_variant_concerns_nobody_else(jobs):
    more = changed(variants=SETTINGS["variants"] | {"ties": {"method": "ties"}})
    for name in ("describe_fit", "describe_answers", "describe_scores"):
        assert getattr(more, name)("frism") == getattr(jobs, name)("frism")
    for name in (None, "aloud"):
        assert more.describe_questions(name) == jobs.describe_questions(name)


def test_code_of_what_a_variant_does_without_does_not_count(jobs, monkeypatch):
    asked = []
    monkeypatch.setattr(
        jobs_module, "digest_modules", lambda *modules, **options: asked.append(options["without"]) or ""
    )
    for name in ("inject", "frism"):
        jobs.code(name, "benchmarks.stages.tune")
    assert asked == [("frism.spectra", "benchmarks.calibration"), ()]
    assert jobs.method_code("inject") == ["baselines.inject"]


def test_gpus_are_those_of_the_engine():
    engine = {"name": "transformers", "max_new_tokens": 9}
    assert changed(engine=engine).gpus == 0
    assert changed(engine=engine | {"device": "cuda", "devices": 4}).gpus == 4
    assert list(list_spectrum_options(study_of(SETTINGS))) == [
        "--rank", "16", "--solver", "auto", "--dtype", "float32",
    ]  # fmt: skip


def test_results_must_be_writable(tmp_path: Path):
    check_writable(tmp_path / "results" / "small")
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match="cannot write below"):
        check_writable(tmp_path / "results" / "small")


def test_with_turns_one_process_answers_for_all(jobs):
    assert jobs.turns == []
    engine = {"name": "transformers", "max_new_tokens": 48, "turns": True}
    own = changed(engine=engine)
    assert own.turns == [["vlm", "inject", "frism", "aloud", "frism_uniform"]] and own.fitted_ahead == []
    waits = own.list_waits(own.turns[0])
    assert f"{R}/spectra/part1of2.json" in waits and not any("dev.csv" in path for path in waits)


def test_a_calibration_of_its_own_concerns_its_variant_alone(jobs):
    both = {"questions": 8, "kinds": ["perception", "short chains"]}
    variants = SETTINGS["variants"] | {"frism": {"method": "frism", "calibration": both}}
    own = changed(variants=variants)
    assert own.describe_fit("frism") != jobs.describe_fit("frism")
    assert own.describe_fit("inject") == jobs.describe_fit("inject")
    assert own.digest_calibration("frism") != own.digest_calibration() == jobs.digest_calibration("frism")


def test_parents_alone_answer_in_words_where_the_study_says_so(jobs):
    assert jobs.study.owners == ["base", "lrm", *SETTINGS["variants"]]
    assert changed(text_of="parents").study.owners == ["base", "lrm"]
    assert changed(text=[]).study.owners == []


def test_a_study_that_asks_for_its_kind_of_triple_tells_of_the_committed_population() -> None:
    back = {"put_back": {"method": "put_back", "params": {"of": "base"}, "scope": "mat+bias+norm"}}
    assert changed(variants=SETTINGS["variants"] | back).population == (OVERALL.relative_to(ROOT).as_posix(),)
    assert changed().population == ()
