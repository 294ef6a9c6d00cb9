"""What the population shows of a study's kind of triple is told by its table `cell`: committed numbers."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tables.cells import format_interval
from benchmarks.tables.kinds import KINDS, TOLD, describe_kind

ROOT = Path(__file__).resolve().parents[3]


def make_rows(needed: str, forgot: str, asked: str = WORDS) -> pd.DataFrame:
    rows = [(VISION, "perception", needed), (VISION, "reasoning", "yes"), (asked, "perception", "no"),
            (asked, "short chains", forgot), (asked, "reasoning", "yes")]  # fmt: skip
    return pd.DataFrame(rows, columns=["question", "group", "verdict"])


@pytest.mark.parametrize(("kind", "cell"), KINDS.items())
def test_a_study_is_told_of_its_own_kind_with_the_committed_numbers(kind, cell) -> None:
    overall = pd.read_csv(ROOT / "results/reference/population/tables/overall.csv")
    rows = overall[(overall["against"] == "vlm") & (overall["measure"] == "test")]
    rows = rows.set_index(["cell", "variant", "group"])
    assert set(KINDS) == set(product(("yes", "no"), repeat=2))
    for asked in (WORDS, TOWER):
        text = describe_kind(make_rows(*kind, asked))
        assert f"(`{cell}`; means over 3 bases" in text and text.endswith("no forecast for other models.")
        for variant in TOLD:
            told = text.partition(f"`{variant}` ")[2].partition("`")[0]
            for group in ("reasoning", "perception", "short chains"):
                row = rows.loc[(cell, variant, group)]
                ends = (row["estimate"], row["estimate_low"], row["estimate_high"])
                assert f"{format_interval(*ends, signed=True)} in {group}" in told
                assert row["bases"] == 3


def test_an_installed_package_without_results_tells_nothing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("benchmarks.tables.kinds.OVERALL", tmp_path / "overall.csv")
    assert describe_kind(make_rows("no", "no")) == ""


def test_where_the_kind_is_not_clear_nothing_is_told() -> None:
    assert describe_kind(make_rows("unclear", "no")) == describe_kind(make_rows("yes", "unclear")) == ""
    assert describe_kind(make_rows("yes", "no").iloc[2:]) == ""
    rows = pd.concat([make_rows("no", "no"), make_rows("no", "yes", TOWER).iloc[2:]])
    assert "`aligned/rehearsed`" in describe_kind(rows)  # answers in words count before those behind a tower
