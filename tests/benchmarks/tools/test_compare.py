"""A fresh run against committed tables: equal, within, outside, missing, new."""

import shutil

import pandas as pd
import pytest

from benchmarks.tools.compare import agrees, compare, main
from frism.errors import UserError


@pytest.fixture
def reference(tmp_path):
    folder = tmp_path / "reference" / "tables"
    folder.mkdir(parents=True)
    numbers = {"n": 100, "score": 0.5, "low": 0.4, "high": 0.6}
    for name, key, values in (
        ("axes", "group", ["perception", "reasoning"]),
        ("benchmarks", "benchmark", ["a"]),
    ):
        pd.DataFrame({"variant": "vlm", key: v} | numbers for v in values).to_csv(
            folder / f"{name}.csv", index=False
        )
    pd.DataFrame(columns=["variant", "task", *numbers]).to_csv(folder / "text.csv", index=False)
    return folder.parent


@pytest.fixture
def fresh(reference, tmp_path):
    return shutil.copytree(reference, tmp_path / "fresh")


def change(fresh, column, value, row=0):
    path = fresh / "tables" / "axes.csv"
    frame = pd.read_csv(path)
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)


def verdicts(reference, fresh):
    rows = compare(reference, fresh)
    return dict(zip(rows["name"], rows["verdict"], strict=True)), agrees(rows)


def test_the_same_tables_agree(reference, fresh):
    found, good = verdicts(reference, fresh)
    assert good and set(found.values()) == {"equal"} and len(found) == 3


@pytest.mark.parametrize(
    ("column", "value", "verdict", "good"),
    [("score", 0.59, "within", True), ("score", 0.61, "outside", False), ("n", 99, "other n", False)],
)
def test_a_changed_row(reference, fresh, column, value, verdict, good):
    change(fresh, column, value)
    found, agreed = verdicts(reference, fresh)
    assert found["vlm perception"] == verdict and agreed is good


def test_missing_and_new_rows(reference, fresh):
    change(fresh, "group", "other")
    found, good = verdicts(reference, fresh)
    assert found["vlm perception"] == "missing" and found["vlm other"] == "new" and not good
    found, good = verdicts(fresh, fresh)
    assert good


def test_exit_codes(reference, fresh, capsys):
    with pytest.raises(SystemExit) as same:
        main(reference, fresh)
    assert same.value.code == 0 and "The fresh run agrees." in capsys.readouterr().out
    change(fresh, "score", 0.9)
    with pytest.raises(SystemExit) as other:
        main(reference, fresh)
    assert other.value.code == 1 and "outside" in capsys.readouterr().out
    with pytest.raises(SystemExit) as broken:
        main(reference / "nowhere", fresh)
    assert broken.value.code == 2 and capsys.readouterr().err.startswith("error: ")


def test_a_row_twice_is_refused(reference, fresh):
    path = fresh / "tables" / "axes.csv"
    frame = pd.read_csv(path)
    pd.concat([frame, frame]).to_csv(path, index=False)
    with pytest.raises(UserError, match="has a row twice"):
        compare(reference, fresh)
