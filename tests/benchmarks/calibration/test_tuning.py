"""The tuning stage on VizWiz's forms: the same recipe and coefficients from each, whatever the labels."""

import json
from pathlib import Path

import pytest

from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import tune
from tests.support import calibration_folders
from tests.support.studies import record

BENCHMARKS = ["mini_number", "mini_total"]
FIT = {"steps": 2, "batch": 2, "max_new_tokens": 3, "lr": 0.05}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    writing.write(folder, [find(name) for name in BENCHMARKS], {"dev": 2})
    return folder


def fitted(triple: dict[str, str], items: Path, mirror: Path, results: Path) -> tuple[bytes, ...]:
    """Recipe and coefficients of a real fit of FRISM, as files."""
    settings = {
        "triple": triple,
        "benchmarks": BENCHMARKS,
        "engine": {"name": "transformers", "batch_size": 4, "max_new_tokens": 2},
        "calibration": {"source": "vizwiz", "folder": str(mirror), "questions": 4, "max_pixels": 1600},
        "variants": {"vlm": {"method": "vlm"}, "frism": {"method": "frism", "params": FIT}},
    }
    study = record(results, settings)
    (results / "items").symlink_to(items)
    for variant in settings["variants"]:
        tune.main(study, variant)
    folder = results / "variants" / "frism"
    return tuple((folder / name).read_bytes() for name in ("recipe.json", "coefficients.safetensors"))


def test_every_form_of_vizwiz_makes_the_same_variant(
    triple_settings: dict[str, str], items: Path, tmp_path: Path
) -> None:
    clean = calibration_folders.official(tmp_path / "clean")
    calibration_folders.shards(clean, tmp_path / "hub")
    other = json.dumps(
        calibration_folders.annotations(6, answers=[{"answer": "poison"}], answerable="no", answer_type=None)
    )
    poisoned = calibration_folders.official(tmp_path / "poisoned", text=other)
    own = fitted(triple_settings, items, clean, tmp_path / "a")
    assert fitted(triple_settings, items, tmp_path / "hub", tmp_path / "b") == own
    assert fitted(triple_settings, items, poisoned, tmp_path / "c") == own
    entries = calibration_folders.annotations(6)
    changed = json.dumps([entry | {"question": "What else?"} for entry in entries])
    different = calibration_folders.official(tmp_path / "different", text=changed)
    assert fitted(triple_settings, items, different, tmp_path / "d")[0] != own[0]


def test_a_bad_picture_stops_the_stage_with_its_name(
    triple_settings: dict[str, str], items: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = calibration_folders.official(tmp_path / "v", n=4)
    bad = mirror / "train" / "VizWiz_train_00000002.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(SystemExit) as caught:
        fitted(triple_settings, items, mirror, tmp_path / "a")
    assert caught.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert f"cannot read the calibration picture {bad}" in errors[0]
    assert not (tmp_path / "a" / "variants" / "frism" / "recipe.json").exists()
