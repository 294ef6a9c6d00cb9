"""Published numbers: the shipped files are sound, and they stand beside the right variant's score."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.registry import lookup
from benchmarks.stages import tables
from benchmarks.study.variant_config import VariantConfig
from benchmarks.tables import published_scores
from benchmarks.tables.cells import list_names
from frism.errors import UserError
from frism.method import discovery as methods
from tests.support.studies import study_of
from tests.support.synthetic_study import config, make

SOURCE = {"citation": "A paper", "read_in": "notes", "verified": False, "averages": "unknown", "base": "none"}
# Names of the papers that are no benchmark here: what is meant is another number, or not known.
OTHER = {"WeMath strict", "WeMath loose", "MMMU", "MMMU-Pro", "MathVista"}


def paper(**changes: Any) -> dict[str, Any]:
    rows = [
        {"source": "p", "row": "VLM", "method": "vlm", "scores": {"reasoning": 10.0, "perception": 90.0}},
        {"source": "p", "row": "TA", "method": "inject", "scores": {"reasoning": 12.0, "mini_number": 99.0}},
        {"source": "p", "row": "none here", "scores": {"reasoning": 50.0}},
    ]
    return {"title": "Some pair", "sources": {"p": SOURCE}, "scores": rows} | changes


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of published numbers with one file, `pair`."""
    monkeypatch.setattr(published_scores, "FOLDER", tmp_path / "papers")
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/pair.yaml").write_text(yaml.safe_dump(paper()))
    return tmp_path / "papers"


@pytest.mark.parametrize("name", published_scores.list_papers())
def test_shipped_numbers_have_sources_and_are_marked_unverified(name: str) -> None:
    found = published_scores.load_paper(name)
    assert {row.source for row in found.scores} == set(found.sources)
    assert not any(source.verified for source in found.sources.values())
    for row in found.scores:
        if row.method is not None:
            assert set(row.params) <= set(methods.find(row.method).parameters)
        for score in set(row.scores) - set(published_scores.AXES) - OTHER:
            assert lookup.find(score).name == score


def test_the_papers_claims_are_as_they_were_noted() -> None:
    """+1.8 and +2.0 reasoning over the VLM at +0.0 and +0.1 perception; the cliff of plain injection."""
    gains = {}
    for name in ("qwen2_5_vl_3b", "qwen2_5_vl_7b"):
        rows = {r.row: r.scores for r in published_scores.load_paper(name).scores if r.source == "frism"}
        gains[name] = [rows["FRISM"][a] - rows["unmodified VLM"][a] for a in published_scores.AXES]
    assert gains == {
        "qwen2_5_vl_3b": pytest.approx([1.8, 0.0]),
        "qwen2_5_vl_7b": pytest.approx([2.0, 0.1]),
    }
    assert rows["unmodified VLM"]["POPE"] - rows["Task Arithmetic at 0.15"]["POPE"] == pytest.approx(12.5)


def variant(method: str, **more: Any) -> VariantConfig:
    return VariantConfig(method=method, **more)


def row(method: str | None, **params: Any) -> published_scores.PublishedScore:
    return published_scores.PublishedScore(
        source="p", row="r", method=method, params=params, scores={"reasoning": 1.0}
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (row("inject"), ["swept"]),
        (row("inject", strength=0.15), ["fixed"]),
        (row("inject", strength=0.2), []),
        (row("ties"), ["ties"]),
        (row("interp"), []),
        (row(None), []),
    ],
)
def test_a_number_belongs_to_the_variant_that_was_made_in_the_same_way(
    asked: published_scores.PublishedScore, expected: list[str]
) -> None:
    variants = {
        "swept": variant("inject", grid={"strength": [0.1, 0.2]}),
        "fixed": variant("inject", params={"strength": 0.15}),
        "ties": variant("ties", params={"density": 0.2}),
    }
    assert list(published_scores.match_variants(variants, asked)) == expected


def test_the_table_of_a_study(tmp_path: Path, shelf: Path) -> None:
    settings = config(published="pair")
    study = study_of(settings)
    tables.build(make(tmp_path / "results", settings), study, tmp_path / "tables")
    found = pd.read_csv(tmp_path / "tables/published.csv", keep_default_na=False, dtype=str)
    found = found.set_index(["row", "name"])
    axes = pd.read_csv(tmp_path / "tables/axes.csv").set_index(["variant", "group"])
    ours = axes.loc["inject", "reasoning"]
    taken = found.loc["TA", "reasoning"]
    assert taken["variant"] == "inject"
    assert (taken["paper"], taken["paper_gain"]) == ("0.1200", "0.0200")
    assert float(taken["ours"]) == ours["score"]
    assert float(taken["gap"]) == pytest.approx(ours["score"] - 0.12, abs=1e-4)
    assert taken["within"] == ("yes" if ours["low"] <= 0.12 <= ours["high"] else "no")
    assert taken["gain_within"] == (
        "yes" if ours["difference_low"] <= 0.02 <= ours["difference_high"] else "no"
    )
    assert taken["verified"] == "no"
    assert found.loc["VLM", "reasoning"]["paper_gain"] == found.loc["VLM", "reasoning"]["gain_within"] == ""
    assert found.loc["VLM", "perception"]["variant"] == "vlm"
    assert found.loc["none here", "reasoning"]["variant"] == ""
    assert found.loc["none here", "reasoning"]["ours"] == ""
    assert found.loc["TA", "mini_number"]["note"] == ""
    text = (tmp_path / "tables/published.md").read_text()
    assert "| TA" in text
    assert "[" in text.split("| TA")[1]


def test_a_study_that_names_nothing_has_an_empty_table() -> None:
    study = study_of(config())
    found = published_scores.build_published_rows(study, pd.DataFrame(), pd.DataFrame())
    assert found.empty
    assert list(found) == list_names(published_scores.COLUMNS)


@given(low=st.floats(0, 1), width=st.floats(0, 1), at=st.floats(-2, 3))
def test_within_is_a_matter_of_the_interval(low: float, width: float, at: float) -> None:
    value = low + at * width
    expected = "yes" if low <= value <= low + width else "no"
    assert published_scores._is_within(value, low, low + width) == expected
    assert published_scores._is_within(float("nan"), low, low + width) == ""


FAULTS = {
    "another name": (paper(), "paiir", r"holds no paiir.yaml \(there are pair\). Did you mean 'pair'"),
    "a source that is not described": (paper(sources={}), "pair", "row 'VLM' names the source 'p'"),
    "no source's word": (
        paper(sources={"p": {k: v for k, v in SOURCE.items() if k != "verified"}}),
        "pair",
        "sources.p.verified: Field required",
    ),
    "no per cent": (
        paper(scores=[{"source": "p", "row": "r", "scores": {"reasoning": 120}}]),
        "pair",
        "reasoning is 120.0, not a number of per cent",
    ),
    "an unknown key": (paper(note="x"), "pair", "note: Extra inputs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(shelf: Path, fault: str) -> None:
    content, name, words = FAULTS[fault]
    (shelf / "pair.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=words) as caught:
        published_scores.load_paper(name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_yaml(shelf: Path) -> None:
    (shelf / "pair.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"cannot read .*pair\.yaml"):
        published_scores.load_paper("pair")
