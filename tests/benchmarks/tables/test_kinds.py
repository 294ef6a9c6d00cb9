"""What the population shows of a study's kind of triple is told by its table `cell`: committed numbers."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tables.kinds import BASES, KINDS, describe_kind

ROOT = Path(__file__).resolve().parents[3]


def make_rows(needed: str, forgot: str, asked: str = WORDS) -> pd.DataFrame:
    rows = [(VISION, "perception", needed), (VISION, "reasoning", "yes"), (asked, "perception", "no"),
            (asked, "short chains", forgot), (asked, "reasoning", "yes")]  # fmt: skip
    return pd.DataFrame(rows, columns=["question", "group", "verdict"])


def test_the_numbers_are_those_of_the_committed_population() -> None:
    overall = pd.read_csv(ROOT / "results/reference/population/tables/overall.csv")
    rows = overall[(overall["against"] == "vlm") & (overall["measure"] == "test")]
    rows = rows.set_index(["cell", "variant", "group"])
    assert set(KINDS) == set(product(("yes", "no"), repeat=2))
    for cell, differences in KINDS.values():
        for variant, groups in differences.items():
            for group, told in groups.items():
                row = rows.loc[(cell, variant, group)]
                assert told == pytest.approx(
                    tuple(row[["estimate", "estimate_low", "estimate_high"]]), abs=1e-9
                )
                assert row["bases"] == BASES


@pytest.mark.parametrize(("kind", "cell"), [(kind, cell) for kind, (cell, _) in KINDS.items()])
def test_a_study_is_told_of_its_own_kind(kind, cell) -> None:
    for asked in (WORDS, TOWER):
        text = describe_kind(make_rows(*kind, asked))
        assert f"(`{cell}`; means over {BASES} bases" in text and text.endswith(
            "no forecast for other models."
        )
        number = KINDS[kind][1]["inject"]["reasoning"][0]
        assert f"`inject` {number:+.3f} [" in text


def test_where_the_kind_is_not_clear_nothing_is_told() -> None:
    assert describe_kind(make_rows("unclear", "no")) == describe_kind(make_rows("yes", "unclear")) == ""
    assert describe_kind(make_rows("yes", "no").iloc[2:]) == ""
    rows = pd.concat([make_rows("no", "no"), make_rows("no", "yes", TOWER).iloc[2:]])
    assert "`aligned/rehearsed`" in describe_kind(rows)  # answers in words count before those behind a tower
