"""Configs of studies: whatever a file says, one sentence or a study that keeps inside its results folder."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from benchmarks.study.config import StudyConfig
from benchmarks.study.extends import read_yaml
from benchmarks.study.layout import Layout
from frism.errors import UserError
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import HOSTILE, contents, structures
from workflow import config as configs

ROOT = Path(__file__).resolve().parents[2]
WHOLE: dict[str, Any] = {
    "study": "tiny",
    "seed": 3,
    "triple": {"base": "weights/base", "vlm": "weights/vlm", "lrm": ["0.5*weights/lrm", "0.5*weights/other"]},
    "scope": "mat+bias",
    "engine": {
        "name": "transformers", "max_new_tokens": 8, "batch_size": 4, "dtype": "float32", "device": "cpu",
        "failures": {"count_as_unanswered": 0.1}, "sampling": {"samples": 2, "temperature": 0.7},
    },
    "spectrum": {"rank": 8, "parts": 2, "solver": "auto"},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", {"name": "mini_total", "max_new_tokens": 5}, "mini_add"],
    "text": ["mini_total"],
    "data": {"folder": None},
    "prompting": {"min_pixels": 784, "system_prompt": "Think."},
    "questions": {"dev": 4, "test": 6},
    "selection": {"perception_budget": 0.02},
    "statistics": {"confidence": 0.95, "resamples": 100, "rivals": ["inject"]},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "frism": {"method": "frism", "params": {"steps": 3, "lr": 0.5}},
        "uniform": {"method": "frism_uniform", "reference": "frism"},
        "searched": {"method": "inject", "search": {"trials": 3, "ranges": {"strength": {"low": 0.1,
        "high": 1.0}}}},
    },
    "analyses": {"knock_out": {"variants": ["vlm"], "params": {"block": 3}}},
}  # fmt: skip
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
WHOLE_TEXT = yaml.safe_dump(WHOLE, sort_keys=False)
ODD = [
    "", "null", "[]", "- study: x", "study: [", "study: !!python/object/apply:os.system [touch hacked]", BOMB,
    f"{BOMB}study: *j", WHOLE_TEXT + WHOLE_TEXT, "? [a, b]\n: c", "1: 2\n2000-01-01: 3", "[" * 5000,
    "{a: " * 5000,
    "a: " * 5000, "seed: " + "1" * 5000, "&a [*a]", "study: &s {s: *s}", "<<: {study: tiny}", "extends: .",
    "extends: x.yaml",
    "extends: config.yaml", "extends: /dev/zero", "extends: 5", "extends: []", 'extends: "\\0"',
    "extends: " + "x" * 5000,
    "\x00", "study: \x07", "%YAML 9.9\n---\nstudy: tiny", "---\na: 1\n---\nb: 2", "study: 0o17",
    "seed: 1e400",
]  # fmt: skip


def test_a_damaged_config_is_refused_or_read_right(try_cases: Try, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        study = attempt(lambda: StudyConfig.load(path), tmp_path, "/dev/zero")
        if not isinstance(study, Refusal):
            assert StudyConfig.make(study.model_dump(mode="json"), "again") == study
            assert_inside(study)

    files = (
        structures(WHOLE).map(lambda value: yaml.safe_dump(value, sort_keys=False).encode())
        | contents(WHOLE_TEXT.encode())
        | st.sampled_from([text.encode() for text in ODD])
    )
    try_cases(files, check, few=60)


def test_a_config_that_names_what_there_is_not_is_refused(try_cases: Try, tmp_path: Path) -> None:
    """The whole check before a plan: methods, parameters, benchmarks, folders, other configs."""
    WHOLE_HERE = {**WHOLE, "analyses": {}}  # they are checked with the jobs, below

    def check(content: Any) -> None:
        source = "config.yaml"
        study = attempt(lambda: configs.load(content, source, tmp_path), source, tmp_path)
        if not isinstance(study, Refusal):
            assert_inside(study)
        assert not (tmp_path / "hacked").exists()

    wholes = structures(WHOLE_HERE).filter(lambda value: isinstance(value, dict))
    try_cases(wholes, check, few=30)


@pytest.mark.parametrize("text", ODD)
def test_every_odd_text_ends_well(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    assert isinstance(attempt(lambda: StudyConfig.load(path), tmp_path, "/dev/zero"), Refusal)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff\xfe\x00", b'{"a": 1' + b"0" * 9000 + b"}"])
def test_a_file_that_breaks_parsers_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"config{suffix}"
    path.write_bytes(content)
    attempt(lambda: StudyConfig.load(path), path)
    attempt(lambda: read_yaml(path), path)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_results_folder(name: str, tmp_path: Path) -> None:
    places: list[dict[str, Any]] = [
        {"study": name},
        {"variants": {**WHOLE["variants"], name: {"method": "inject"}}},
        {"benchmarks": [*WHOLE["benchmarks"], {"name": name, "axis": "perception",
        "class": "ImageMCQDataset"}]},
        {"benchmarks": [*WHOLE["benchmarks"], {"name": "mini_color", "dataset": name}]},
        {"text": [{"name": name, "kind": "lm_eval"}]},
        {"published": name},
        {"analyses": {name: {"analysis": "knock_out"}}},
    ]  # fmt: skip
    for place in places:
        try:
            study = configs.load({**WHOLE, **place}, "config.yaml", tmp_path)
        except UserError:
            continue
        assert_inside(study)


def assert_inside(study: StudyConfig) -> None:
    """Every file that the study's jobs write lies below its own results folder."""
    results = Path("results").resolve()
    root = results / study.study
    layout = Layout(root)
    assert root.parent == results
    definitions = [
        entry if isinstance(entry, str) else entry["name"] for entry in (*study.benchmarks, *study.text)
    ]
    paths = [layout.variant(name, 0) for name in study.variants]
    paths += [layout.items(name) for name in study.variants]
    paths += [
        layout.journal(name, f"analyses/{entry}") for name in study.variants for entry in study.analyses
    ]
    for path in paths:
        assert path.resolve().is_relative_to(root), path
    assert all(isinstance(name, str) for name in definitions)
