"""Dev scores of a point: greedy as a rule, means over samples where the study asks for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.answering.engine import open_engine
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.predictions import read_predictions
from benchmarks.questions import reading
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from benchmarks.tuning.dev_scores import score_on_dev
from benchmarks.tuning.points import Point
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import QUESTIONS


@pytest.mark.parametrize("on_dev", [False, True])
def test_dev_is_sampled_only_where_asked_for(
    on_dev: bool, triple: Triple, variant: Callable[..., Path], items_folder: Path, tmp_path: Path
) -> None:
    sampling = SamplingSettings(samples=2, temperature=2.0, on_dev=on_dev)
    settings = EngineSettings(batch_size=8, max_new_tokens=4, sampling=sampling).on_dev
    recipe, fitted = Recipe.load(variant("inject", strength=0.5))
    items = reading.load_items(items_folder, "test", ["mini_number"])
    engine = LateEngine(settings, lambda: None, lambda: open_engine(triple, None, None, settings))
    scores = score_on_dev(engine, triple, Point(recipe, fitted, tmp_path), items, "inject")
    assert scores["n"].tolist() == [QUESTIONS]
    assert scores["score"].tolist() == (scores["correct"] / QUESTIONS).tolist()
    lines = read_predictions(tmp_path / "dev.jsonl")
    assert [line.sample for line in lines] == ([0, 1] if on_dev else [None]) * QUESTIONS
