"""The table of VLMEvalKit's dataset names: what it says, when it is made, and that scoring agrees with it."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.prompting.vlmevalkit_models import package
from benchmarks.questions import tsv_files
from benchmarks.registry import lookup, vlmevalkit_names
from benchmarks.scoring import metrics
from benchmarks.vlmevalkit import loading
from frism.errors import UserError
from tests.support import tsvs


def test_the_general_classes_and_one_with_its_own_metric() -> None:
    star = vlmevalkit_names.find("MMStar")
    assert star is not None
    assert (star.class_name, star.evaluates, star.modality) == ("ImageMCQDataset", "ImageMCQDataset", "IMAGE")
    assert star.url.endswith("/MMStar.tsv") and len(star.md5 or "") == 32
    dyna = vlmevalkit_names.find("DynaMath")
    assert dyna is not None and dyna.class_name == dyna.evaluates == "Dynamath"
    assert vlmevalkit_names.find("MMStr") is None
    video = vlmevalkit_names.find("MVBench")
    assert video is not None and video.modality == "VIDEO" and "MVBench" not in vlmevalkit_names.names()


def test_every_prepared_benchmark_is_declared_with_its_class_and_metric() -> None:
    """The metric is the one that scoring will insist on."""
    for name in lookup.prepared():
        definition = lookup.find(name)
        if definition.kind == "lm_eval":
            continue
        declared = vlmevalkit_names.find(definition.dataset)
        assert declared is not None and declared.class_name == definition.dataset_class, name
        assert declared.md5, name
        kind = loading.dataset_class(definition.dataset_class)
        dataset = kind.__new__(kind)
        dataset.dataset_name = definition.dataset
        assert metrics.name_of(dataset) == definition.metric, name
        derived = lookup._table(definition.dataset, declared.class_name, declared.evaluates)
        assert derived["metric"] == definition.metric, name


@pytest.mark.slow
def test_the_metric_of_every_name_is_the_one_that_scoring_finds() -> None:
    """For every name whose class can be made without its data."""
    classes = {c.__name__: c for c in package("dataset").DATASET_CLASSES}
    checked = 0
    for name in vlmevalkit_names.names():
        declared = vlmevalkit_names.find(name)
        assert declared is not None
        kind = classes[declared.class_name]
        try:
            dataset = kind.__new__(kind)
            dataset.dataset_name = name
            metric = metrics.name_of(dataset)
        except (TypeError, AttributeError):
            continue
        assert lookup._table(name, declared.class_name, declared.evaluates)["metric"] == metric, name
        checked += 1
    assert checked > 400


@pytest.fixture
def fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, and no table in this process."""
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vlmevalkit_names, "_load_table", vlmevalkit_names._load_table.__wrapped__)
    return tmp_path / "cache"


ROW = '[{"name": "X", "class_name": "C", "modality": "IMAGE", "evaluates": "C", "url": "", "md5": null}]'


class Answer:
    """Stands in for `subprocess.run` and counts its calls."""

    def __init__(self, stdout: str, stderr: str = "", code: int = 0) -> None:
        self.stdout, self.stderr, self.code, self.calls = stdout, stderr, code, 0

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        return subprocess.CompletedProcess(command, self.code, self.stdout, self.stderr)


def test_the_table_is_made_once_and_made_again_when_it_is_damaged(
    monkeypatch: pytest.MonkeyPatch, fresh_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Answer(ROW)
    monkeypatch.setattr(subprocess, "run", run)
    assert vlmevalkit_names.find("X") is not None and vlmevalkit_names.names() == ["X"]
    assert run.calls == 1 and capsys.readouterr().err.count("\n") == 1
    (path,) = fresh_cache.iterdir()
    for damaged in ("[", '[{"name": "X", "form": "of another version"}]'):
        path.write_text(damaged)
        assert vlmevalkit_names.find("X") is not None and path.read_text() == ROW
    assert run.calls == 3
    monkeypatch.setattr(vlmevalkit_names, "hash_installation", lambda: "another installation")
    assert vlmevalkit_names.find("X") is not None and run.calls == 4


def test_known_names_do_without_the_table(
    monkeypatch: pytest.MonkeyPatch, fresh_cache: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(subprocess, "run", Answer("", code=1))
    path = tsvs.make("POPE", tmp_path, 3)
    for name in (*lookup.available(), *lookup.prepared()):
        assert lookup.find(name).name == name
    assert lookup.find({"name": "piqa", "kind": "lm_eval"}).kind == "lm_eval"
    assert tsv_files.locate(lookup.find("POPE"), tmp_path) == path


def test_a_failed_import_is_said_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
) -> None:
    run = Answer("", "Traceback ...\nModuleNotFoundError: No module named 'cv2'\n", 1)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match=r"cannot be imported .*No module named 'cv2'.*: install"):
        lookup.find("BLINKER")
    assert not fresh_cache.exists()


def test_without_vlmevalkit_no_name_is_known(monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> None:
    def missing() -> str:
        raise UserError("VLMEvalKit is not installed.")

    monkeypatch.setattr(vlmevalkit_names, "hash_installation", missing)
    with pytest.raises(UserError, match=r"unknown benchmark 'POPEE'\. Did you mean 'POPE'\?"):
        lookup.find("POPEE")
