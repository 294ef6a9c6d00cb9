"""The table of all answers: complete, typed, the same in both files, and refused when its parts differ."""

import pandas as pd
import pytest

from benchmarks.stages.answers_table import SCHEMA, main, write_answers
from frism.errors import UserError
from tests.support.studies import record, study_of
from tests.support.synthetic_study import config, make

FEW = ["vlm", "inject"]


@pytest.fixture(scope="module")
def settings():
    whole = config(benchmarks=["mini_number", "mini_total"], text=["mini_total"])
    return whole | {"variants": {v: whole["variants"][v] for v in FEW}}


@pytest.fixture
def results(tmp_path, settings):
    return make(tmp_path, settings, n=20, n_dev=10)


def test_every_answer_once(results, settings):
    study = study_of(settings)
    assert write_answers(results, study, results) == 2 * 2 * 20 + 4 * 20  # base and lrm answer text, too
    frame = pd.read_parquet(results / "questions.parquet")
    assert list(frame.columns) == SCHEMA.names
    assert not frame.duplicated(["variant", "axis", "benchmark", "index"]).any()
    assert set(frame["variant"]) == {*FEW, "base", "lrm"}
    text = frame["axis"] == "text"
    assert frame.loc[~text, "seconds"].eq(0.01).all() and frame.loc[text, "seconds"].isna().all()
    scores = pd.read_csv(results / "scores" / "inject.csv")
    own = frame[~text & (frame["variant"] == "inject")]
    assert own["correct"].tolist() == scores["correct"].tolist()
    assert own["truncated"].tolist() == scores["truncated"].tolist()
    assert frame["correct_judge"].isna().all() and frame["cluster"].isna().all()


def test_both_files_hold_the_same(results, settings):
    path = results / "scores" / "inject.csv"
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    awkward = ['a "b", c\nd\re', "NA", "", "null"]
    frame.loc[:3, "raw"] = awkward
    frame.loc[:3, "extracted"] = awkward
    frame = frame.assign(cluster="7", correct_judge=1.0)
    frame.to_csv(path, index=False, quoting=1)
    main(record(results, settings), results / "out")
    parquet = pd.read_parquet(results / "out" / "questions.parquet")
    own = parquet[(parquet["variant"] == "inject") & (parquet["axis"] != "text")]
    assert own["raw"].tolist()[:4] == awkward
    assert own["extracted"].isna().tolist()[:4] == [False, False, True, False]
    assert own["cluster"].eq("7").all() and own["correct_judge"].eq(1).all()
    text = pd.read_csv(results / "out" / "questions.csv", keep_default_na=False, dtype=str)
    assert text["raw"].tolist() == parquet["raw"].tolist()
    assert text["index"].tolist() == parquet["index"].tolist()
    assert text["correct"].astype(float).tolist() == parquet["correct"].tolist()


def test_times_of_other_questions_are_refused(results, settings):
    path = results / "scores" / "inject.cost.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    with pytest.raises(UserError, match=r"inject\.cost\.csv .* hold different questions"):
        write_answers(results, study_of(settings), results)
    assert not list(results.glob("*questions*"))


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n"])
def test_a_broken_file_is_named(results, settings, content):
    path = results / "scores" / "inject.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=r"inject\.csv"):
        write_answers(results, study_of(settings), results)
