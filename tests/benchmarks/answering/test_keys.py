"""Keys: from provenance alone they come out as the engine gave them; a changed provenance is noticed."""

import json
from pathlib import Path

import pytest

from benchmarks.answering import keys
from benchmarks.answering.answer import predict
from benchmarks.answering.predictions import read_predictions
from benchmarks.questions import reading
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import SUITES


@pytest.fixture
def out(triple: Triple, items_folder: Path, tmp_path: Path) -> Path:
    """Predictions of two suites with their provenance."""
    path, asked = tmp_path / "v.jsonl", reading.load_items(items_folder, "test", SUITES[:2])
    settings = EngineSettings(batch_size=4, max_new_tokens=3)
    predict(triple, Recipe.make(triple, "vlm", {}), {}, asked, settings, items_folder, path)
    return path


def test_every_key_is_recomputed_without_a_model(out: Path) -> None:
    lines = read_predictions(out)
    assert keys.recompute_keys(out) == {line.key: line.item for line in lines}
    assert len(lines) == 20


@pytest.mark.parametrize("part", ["origin", "engine", "batches"])
def test_a_changed_provenance_is_one_sentence(out: Path, part: str) -> None:
    path = keys.get_provenance_path(out)
    stored = json.loads(path.read_text())
    if part == "batches":
        next(iter(stored["batches"].values()))[0] = "0" * 16
    else:
        stored[part]["more"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"v\.provenance\.json: batch .* was changed"):
        keys.recompute_keys(out)


def test_a_missing_provenance_is_one_sentence(out: Path) -> None:
    keys.get_provenance_path(out).unlink()
    with pytest.raises(UserError, match=r"cannot read .*v\.provenance\.json"):
        keys.recompute_keys(out)
