"""The configs of real checkpoints are complete and say what to fetch (test_settings checks the rest)."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.calibration.load import load
from benchmarks.registry import lookup
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.tables import published_scores
from tests.support import calibration_folders

ROOT = Path(__file__).resolve().parents[2]
REAL = sorted(p.stem for p in (ROOT / "config").glob("*.yaml") if not p.stem.startswith("miniature"))
CONTROLS = {"frism_uniform", "frism_matrix", "frism_shuffled"}
# Of the paper's table; what is called Task Arithmetic there is `inject`.
COMPARATORS = {"vlm", "inject", "ties", "ip_released", "frism"}
PUBLISHED = {"qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen2_5_vl_7b_math", "qwen2_5_vl_32b", "qwen2_5_vl_32b_qwq"}


def config(name: str, data: Path) -> dict[str, Any]:
    """A config with empty tables in its data folder."""
    found = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    for table in tables(found):
        (data / f"{table}.tsv").touch()
    return found | {"data": {"folder": str(data)}}


def tables(found: dict[str, Any]) -> list[str]:
    return [d.name for d in map(lookup.find, found["benchmarks"]) if d.source.tsv is not None]


@pytest.mark.parametrize("name", REAL)
def test_a_config_has_all_comparators_and_controls(name: str, tmp_path: Path) -> None:
    found = config(name, tmp_path)
    assert found["study"] == name
    assert {v["method"] for v in found["variants"].values()} >= COMPARATORS | CONTROLS
    assert all(found["variants"][control]["reference"] == "frism" for control in CONTROLS)
    assert found["variants"]["frism"]["grid"].keys() == {"strength", "alpha"}
    assert all(values == sorted(values) for values in found["variants"]["frism"]["grid"].values())


@pytest.mark.parametrize("name", REAL)
def test_a_head_says_what_to_fetch(name: str) -> None:
    text = (ROOT / f"config/{name}.yaml").read_text()
    found, head = yaml.safe_load(text), text.partition("\nstudy:")[0]
    folders = re.findall(r"hf download \S+/(\S+) --local-dir (\S+)\n", head)
    assert {folder for _, folder in folders} == set(found["triple"].values())
    assert all(folder == f"models/{hub}" for hub, folder in folders)
    assert set(re.search(r"--benchmarks \\\n# +(\S+)", head)[1].split(",")) == set(tables(found))
    assert f"--configfile config/{name}.yaml" in head


@pytest.mark.parametrize("name", REAL)
def test_calibration_is_one_pass_over_vizwiz(name: str, tmp_path: Path) -> None:
    found = config(name, tmp_path)
    given, learning = found["calibration"], found["variants"]["frism"]["params"]
    asked = CalibrationSettings(**given)
    assert asked.source == "vizwiz"
    assert asked.questions == learning["steps"] * learning["batch"] + learning["held_out"]
    folder = calibration_folders.official(tmp_path / "vizwiz")
    small = CalibrationSettings(**given | {"folder": str(folder), "questions": 6})
    assert len(load(small, found["seed"])) == 6


def test_the_published_triples_are_all_there() -> None:
    assert set(REAL) >= PUBLISHED
    bases = {yaml.safe_load((ROOT / f"config/{n}.yaml").read_text())["triple"]["base"] for n in PUBLISHED}
    assert bases == {f"models/Qwen2.5-{size}" for size in ("3B", "7B", "Math-7B", "32B")}


def test_both_bases_at_7b_differ_in_nothing_else() -> None:
    one, other = (
        yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
        for name in ("qwen2_5_vl_7b", "qwen2_5_vl_7b_math")
    )
    assert one["triple"]["base"] != other["triple"]["base"]
    for found in (one, other):
        del found["study"], found["triple"]["base"]
    assert one == other


def test_published_numbers_find_their_variants(tmp_path: Path) -> None:
    """Every row of the paper's table has exactly one counterpart, and the cliff of POPE has its own."""
    from benchmarks.study.config import Variant

    for name in ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen2_5_vl_7b_math"):
        found = config(name, tmp_path)
        variants = {key: Variant(**given) for key, given in found["variants"].items()}
        for row in published_scores.load(found["published"]).scores:
            if row.source == "frism":
                expected = "inject_cliff" if row.params else row.method
                assert list(published_scores.counterparts(variants, row)) == [expected]
