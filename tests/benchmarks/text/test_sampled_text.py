"""Sampled answers of the text column: a stream of their own each, scored one by one, taken up again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.answering import keys
from benchmarks.answering.predictions import read_predictions
from benchmarks.registry.lookup import find
from benchmarks.scoring.voting import number_votes
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from benchmarks.text.ask import ask_questions
from benchmarks.text.models import find_model
from benchmarks.text.tasks import make_tasks
from frism.triples.triple import Triple
from tests.support.loads import count_loads

SAMPLING = SamplingSettings(samples=3, temperature=1.2, seed=4)
SETTINGS = EngineSettings(batch_size=8, sampling=SAMPLING)
TASKS = ["mini_total", "mini_existence"]


def ask(triple: Triple, journal: Path, settings: EngineSettings = SETTINGS, n: int = 6) -> pd.DataFrame:
    tasks = make_tasks([find(name).model_copy(update={"max_new_tokens": 8}) for name in TASKS], n, 0, None)
    who = find_model(triple, "lrm", None, settings)
    return ask_questions(who, tasks, settings, journal).drop(columns="seconds")


@pytest.fixture(scope="module")
def drawn(triple: Triple, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    journal = tmp_path_factory.mktemp("text") / "lrm.jsonl"
    return ask(triple, journal), journal


def test_every_sample_has_a_row_and_its_own_answer(drawn: tuple[pd.DataFrame, Path]) -> None:
    table, journal = drawn
    assert len(table) == 2 * 6 * 3
    assert table["sample"].tolist() == [0, 1, 2] * 12
    stored = {(line.benchmark, line.index, line.sample): line for line in read_predictions(journal)}
    for row in table.itertuples():
        line = stored[row.benchmark, row.index, row.sample]
        assert (row.raw, row.tokens, row.truncated) == (line.raw, line.tokens, line.truncated)
    assert table.groupby(["benchmark", "index"])["raw"].nunique().max() > 1
    for _, rows in table.groupby(["benchmark", "index"]):
        said = [None if pd.isna(text) else text for text in rows["extracted"]]
        assert [None if pd.isna(vote) else vote for vote in rows["vote"]] == number_votes(said)
    provenance = json.loads(keys.get_provenance_path(journal).read_text())
    assert provenance["engine"]["decoding"]["sampling"] == SAMPLING.identity
    items = keys.recompute_keys(journal)
    assert all(items[line.key] == line.item for line in stored.values())


@pytest.mark.parametrize("change", [{"batch_size": 1}, {"batch_size": 100}, {"token_budget": 200}])
def test_answers_do_not_depend_on_the_batch(
    drawn: tuple[pd.DataFrame, Path], triple: Triple, tmp_path: Path, change: dict
) -> None:
    again = ask(triple, tmp_path / "again.jsonl", SETTINGS.model_copy(update=change))
    pd.testing.assert_frame_equal(again, drawn[0])


def test_a_journal_that_was_cut_is_completed(
    drawn: tuple[pd.DataFrame, Path], triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, journal = drawn
    lines = journal.read_text().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(lines[:13]) + lines[13][:20])
    pd.testing.assert_frame_equal(ask(triple, tmp_path / "cut.jsonl"), table)
    assert read_predictions(tmp_path / "cut.jsonl")[:13] == read_predictions(journal)[:13]
    loads = count_loads(monkeypatch)
    pd.testing.assert_frame_equal(ask(triple, journal), table)
    assert not loads
