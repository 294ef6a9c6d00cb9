"""A study's config: defaults, roles, what extends what, and what each stage sees of it."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.study.config import StudyConfig
from benchmarks.study.extends import resolve_extends
from benchmarks.study.slices.items_slice import ItemsSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from benchmarks.study.triple_settings import TripleSettings
from frism.errors import UserError
from tests.support.studies import record, study_of

VARIANTS = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject", "params": {"a": 1}, "grid": {"b": [1, 2], "c": [3, 4]}},
    "frism": {"method": "frism"},
    "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
    "aloud": {"method": "vlm", "prompting": {"system_prompt": "Think aloud."}},
    "reasoner": {"checkpoint": "models/reasoner"},
}


def test_defaults_are_filled_in():
    study = study_of({"questions": {"dev": 5, "test": "all"}})
    assert study.questions.text == "all", "as many as of the test questions"
    assert study.selection.tolerated == study.selection.perception_budget == 0.02
    assert study.statistics.confidence == 0.95 and study.engine.workers == 2
    assert study.judge is None and study.calibration is None
    assert study_of({"questions": {"dev": 5, "test": 7, "text": 9}}).questions.text == 9


def test_grid_points_are_all_combinations_the_last_key_fastest():
    study = study_of({"variants": VARIANTS})
    assert [(p["a"], p["b"], p["c"]) for p in study.variants["inject"].points] == [
        (1, 1, 3), (1, 1, 4), (1, 2, 3), (1, 2, 4),
    ]  # fmt: skip
    assert study.variants["vlm"].points == [{}]


def test_variants_play_roles():
    study = study_of({"variants": VARIANTS})
    roles = {name: study.role(name) for name in VARIANTS}
    assert roles == {
        "vlm": "reference", "inject": "baseline", "frism": "learned", "frism_uniform": "control",
        "aloud": "baseline", "reasoner": "baseline",
    }  # fmt: skip


def test_a_record_gives_the_study_back_and_a_damaged_one_is_named(tmp_path):
    settings = {"variants": VARIANTS, "text": ["mini_total", {"name": "gsm8k", "max_new_tokens": 8}]}
    path = record(tmp_path, settings)
    assert StudyConfig.read(path) == study_of(settings)
    content = json.loads(path.read_text())
    content["config"]["questions"]["text"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"study\.json: questions\.text is 0, which is too small"):
        StudyConfig.read(path)
    with pytest.raises(UserError, match=r"study\.json: questions\.text\.\S+: Input should be"):
        TextSlice.read(path)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"study\.json is not the record of a study"):
        TextSlice.read(path)
    with pytest.raises(UserError, match=r"other/study\.json is missing"):
        StudyConfig.read(tmp_path / "other" / "study.json")


# --- extends ---


def write(folder: Path, **files: dict) -> None:
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_config_goes_over_what_it_extends(tmp_path):
    write(
        tmp_path,
        base={"seed": 1, "variants": {"a": {"params": {"x": 1}}, "b": 2, "c": 3}, "text": [1, 2]},
        middle={"extends": "base.yaml", "seed": 2, "variants": {"b": None}},
    )
    top = {"extends": "middle.yaml", "text": [3], "variants": {"a": {"params": {"y": 2}}, "d": 4}}
    whole = resolve_extends(top, tmp_path)
    assert whole == {"seed": 2, "text": [3], "variants": {"a": {"params": {"x": 1, "y": 2}}, "c": 3, "d": 4}}
    assert list(whole["variants"]) == ["a", "c", "d"], "in the order of what is extended"


def test_a_config_does_not_extend_itself(tmp_path):
    write(tmp_path, one={"extends": "two.yaml"}, two={"extends": "one.yaml"})
    with pytest.raises(UserError, match=r"(one|two)\.yaml extends itself: name another config\."):
        resolve_extends({"extends": "one.yaml"}, tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("a: [", "is not valid YAML"), ("- a", "holds no mapping"), (None, "cannot read")],
)
def test_what_is_extended_must_be_readable(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "base.yaml").write_text(content)
    with pytest.raises(UserError, match=complaint):
        resolve_extends({"extends": "base.yaml"}, tmp_path)


# --- slices ---


def test_a_fit_depends_on_its_own_variant_and_on_what_its_method_needs():
    study = study_of({"variants": VARIANTS, "calibration": {"questions": 8}, "spectrum": {"parts": 2}})
    other = study_of(
        {
            "variants": VARIANTS | {"more": {"method": "ties"}},
            "calibration": {"questions": 9},
            "spectrum": {"parts": 3},
            "selection": {"oracle": True},
            "statistics": {"confidence": 0.9},
        }
    )

    def used(config: StudyConfig, *needs: str) -> str:
        return TuneSlice.of(config).describe_fit("inject", needs)

    assert used(study) == used(other) == used(other, "reference")
    assert used(study, "spectrum") == used(other, "spectrum"), "the number of jobs is nothing to a fit"
    assert used(study, "calibration") != used(other, "calibration")
    lenient = study_of({"variants": VARIANTS, "selection": {"perception_budget": 0.1}})
    assert used(lenient) != used(study)


def test_questions_are_shared_unless_a_variant_is_asked_in_its_own_way():
    study = study_of({"variants": VARIANTS, "prompting": {"max_pixels": 5000}})
    slice_ = ItemsSlice.of(study)
    shared, aloud, reasoner = (slice_.of_variant(name) for name in (None, "aloud", "reasoner"))
    assert shared.prompting.overrides == reasoner.prompting.overrides == {"max_pixels": 5000}
    assert aloud.prompting.overrides == {"max_pixels": 5000, "system_prompt": "Think aloud."}
    assert shared.triple == aloud.triple != reasoner.triple and reasoner.triple.vlm == "models/reasoner"
    assert [name for name, variant in study.variants.items() if variant.needs_own_items] == [
        "aloud",
        "reasoner",
    ]
    fewer = ItemsSlice.of(study_of({"prompting": {"max_pixels": 5000}}))
    assert fewer.of_variant(None) == shared, "a new variant does not ask the others anew"


def test_the_home_folder_is_expanded_in_the_triple_s_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    settings = TripleSettings(base="~/b", vlm="/v~", lrm="owner/~name")
    assert settings.sources == ["/somewhere/b", "/v~", "owner/~name"]
    donors = TripleSettings(base="b", vlm="v", lrm=["0.5*~/r", "0.5*b+a"])
    assert donors.sources == ["b", "v", "0.5*~/r", "0.5*b+a"]
    assert list(donors.folders.values()) == ["b", "v", "~/r", "b", "a"]
    assert settings.folders == {"base": "/somewhere/b", "vlm": "/v~", "lrm": "owner/~name"}
