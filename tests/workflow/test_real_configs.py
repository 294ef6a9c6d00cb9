"""The configs of real checkpoints are complete and say what to fetch (test_settings checks the rest)."""

import re
from pathlib import Path

import pytest

from benchmarks.calibration.load import load_calibration
from benchmarks.study.config import StudyConfig
from benchmarks.tables import published_scores
from frism.errors import UserError
from tests.support import calibration_folders

ROOT = Path(__file__).resolve().parents[2]
REAL = sorted(
    p.stem for p in (ROOT / "config").glob("*.yaml") if not p.stem.startswith(("miniature", "real"))
)
CONTROLS = {"frism_uniform", "frism_matrix", "frism_shuffled"}
# Of the paper's table; what is called Task Arithmetic there is `inject`.
COMPARATORS = {"vlm", "inject", "ties", "ip_released", "frism"}
LAPTOP = {"smolvlm_256m"}  # learns from a few photographs of its own: VizWiz is 11 GB
PUBLISHED = {"qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen2_5_vl_7b_math", "qwen2_5_vl_32b", "qwen2_5_vl_32b_qwq"}


def study(name: str) -> StudyConfig:
    return StudyConfig.load(ROOT / f"config/{name}.yaml")


@pytest.mark.parametrize("name", REAL)
def test_a_config_has_all_comparators_and_controls(name: str) -> None:
    config = study(name)
    assert config.study == name
    assert {v.method for v in config.variants.values()} >= COMPARATORS | CONTROLS
    assert all(config.variants[control].reference == "frism" for control in CONTROLS)
    grid = config.variants["frism"].grid
    assert grid.keys() == {"strength", "alpha"}
    assert all(values == sorted(values) for values in grid.values())


@pytest.mark.parametrize("name", REAL)
def test_a_config_is_a_few_lines_over_its_base(name: str) -> None:
    """Its head says what to fetch besides what the base names."""
    text = (ROOT / f"config/{name}.yaml").read_text()
    assert len(text.splitlines()) <= 32
    folders = re.findall(r"hf download \S+/(\S+) --local-dir (\S+)", text.partition("\nextends:")[0])
    assert {folder for _, folder in folders} == set(study(name).triple.folders.values())
    assert all(folder == f"models/{hub}" for hub, folder in folders)


def test_the_base_is_no_study_by_itself() -> None:
    with pytest.raises(UserError, match=r"real\.yaml: the key 'study' is missing"):
        study("real")


@pytest.mark.parametrize("name", [name for name in REAL if name not in LAPTOP])
def test_calibration_is_one_pass_over_vizwiz(name: str, tmp_path: Path) -> None:
    config = study(name)
    settings, learning = config.calibration, config.variants["frism"].params
    assert settings is not None and settings.source == "vizwiz"
    assert settings.questions == learning["steps"] * learning["batch"] + learning["held_out"]
    folder = calibration_folders.official(tmp_path / "vizwiz")
    small = settings.model_copy(update={"folder": str(folder), "questions": 6})
    assert len(load_calibration(small, config.seed)) == 6


def test_the_laptop_s_calibration_is_one_pass_too() -> None:
    config = study("smolvlm_256m")
    learning = config.variants["frism"].params
    assert config.calibration is not None and config.calibration.source == "folder"
    assert config.calibration.questions == learning["steps"] * learning["batch"] + learning["held_out"]


def test_the_published_triples_are_all_there() -> None:
    assert set(REAL) >= PUBLISHED
    bases = {study(name).triple.base for name in PUBLISHED}
    assert bases == {f"models/Qwen2.5-{size}" for size in ("3B", "7B", "Math-7B", "32B")}


def test_both_bases_at_7b_differ_in_nothing_else() -> None:
    one, other = (study(name).model_dump() for name in ("qwen2_5_vl_7b", "qwen2_5_vl_7b_math"))
    assert one["triple"].pop("base") != other["triple"].pop("base")
    assert one.pop("study") != other.pop("study")
    assert one == other


def test_published_numbers_find_their_variants() -> None:
    """Every row of the paper's table has exactly one counterpart, and the cliff of POPE has its own."""
    for name in ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen2_5_vl_7b_math"):
        config = study(name)
        assert config.published is not None
        for row in published_scores.load_paper(config.published).scores:
            if row.source == "frism":
                expected = "inject_cliff" if row.params else row.method
                assert list(published_scores.match_variants(config.variants, row)) == [expected]
