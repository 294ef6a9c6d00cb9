"""Planted tiles, looks, drifts and focus come out of tables, claims and words as they were planted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.analyses.reporting.claims import CONFIRMED, FOCUS, REFLECTED, REFUTED, SHARE, UNDECIDED
from benchmarks.analyses.reporting.drift_losses import build_drift_loss_rows, describe_drift
from benchmarks.analyses.reporting.heads import build_head_rows, show_strongest
from benchmarks.analyses.reporting.sentences import describe_claims
from benchmarks.analyses.reporting.shown_claims import list_shown_claims
from benchmarks.analyses.reporting.tiles import CONTRAST, describe_tiles
from benchmarks.analyses.reporting.traces import build_trace_rows
from benchmarks.stages import report_analyses
from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from tests.support.studies import study_of

N = 60
AXES = {"mini_number": "perception", "mini_total": "reasoning"}


@pytest.fixture
def study() -> StudyConfig:
    return study_of(
        {
            "benchmarks": list(AXES),
            "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
            "statistics": {"resamples": 300},
            "analyses": {"tile_dependence": {}},
        }
    )


def questions() -> list[dict[str, Any]]:
    return [
        {"benchmark": name, "axis": axis, "index": str(number), "cluster": ""}
        for name, axis in AXES.items()
        for number in range(N)
    ]


def tiles_of(needs: float, looks: float, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Of four tiles one matters: the answer changes with it so often, and so much attention is on it."""
    rng, rows = np.random.default_rng(seed), []
    for question in questions():
        for tile in range(4):
            matters = tile == 0
            attention = (looks if matters else (1 - looks) / 3) + noise * rng.random()
            for change in ("blank", "swap"):
                changed = float(rng.random() < (needs if matters else 0.1))
                rows.append(
                    question
                    | {"tile": f"place {tile}", "relevant": int(matters), "change": change}
                    | {"changed": changed, "drop": 2.0 * changed + 0.01 * tile, "attention": attention}
                )
    return pd.DataFrame(rows)


def write(folder: Path, **tables: pd.DataFrame) -> None:
    for variant, table in tables.items():
        path = folder / f"analyses/tile_dependence/{variant}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.assign(variant=variant).to_csv(path, index=False)


def test_planted_dependence_and_looks_are_found(study: StudyConfig, tmp_path: Path) -> None:
    write(tmp_path, vlm=tiles_of(0.9, 0.4), inject=tiles_of(0.9, 0.1, seed=1))
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "tables/tiles.csv").set_index(["variant", "axis", "change", "tiles"])
    assert len(table) == 2 * 2 * 2 * 3 and (table["n"] == N).all()
    for variant in ("vlm", "inject"):
        own = table.loc[(variant, "perception", "blank")]
        assert own.loc["relevant", "changed"] == pytest.approx(0.9, abs=0.12)
        assert own.loc["other", "changed"] == pytest.approx(0.1, abs=0.06)
        contrast = own.loc[CONTRAST]
        assert contrast["changed"] == pytest.approx(
            own.loc["relevant", "changed"] - own.loc["other", "changed"], abs=2e-4
        )
        assert contrast["changed_low"] > 0.5 and contrast["changed_low"] < contrast["changed_high"]
    assert table.loc["vlm", "difference"].isna().all() and table.loc["inject", "difference"].notna().all()
    use = pd.read_csv(tmp_path / "tables/attention_use.csv").set_index(["variant", "axis"])
    assert use.loc["vlm", "top"].tolist() == [1, 1] and use.loc["inject", "top"].tolist() == [0, 0]
    assert (use["chance"] == 0.25).all() and (use["n"] == N).all()
    assert (use.loc["vlm", "rank_low"] > 0.3).all() and (use.loc["inject", "rank_high"] < 0).all()
    lines = describe_tiles(table.reset_index(), use.reset_index())
    assert len(lines) == 4 and lines[0].startswith(
        "`vlm`, perception: a tile that matters, gone blank, changes"
    )
    assert "matters in 1.000 of the questions (chance 0.250)" in lines[0]
    assert (tmp_path / "figures/analysis_tile_dependence.png").is_file()


def test_noise_that_does_not_look_is_no_better_than_chance(study: StudyConfig, tmp_path: Path) -> None:
    write(tmp_path, vlm=tiles_of(0.9, 0.25, noise=1.0), inject=tiles_of(0.9, 0.25, noise=1.0, seed=1))
    report_analyses.build(tmp_path, study)
    use = pd.read_csv(tmp_path / "tables/attention_use.csv")
    assert (use["top_low"] < 0.3).all() and (use["top_high"] > 0.2).all()
    assert (use["rank_low"] < 0.05).all() and (use["rank_high"] > -0.05).all()


def test_questions_about_all_tiles_or_none_have_no_contrast(study: StudyConfig, tmp_path: Path) -> None:
    everything = tiles_of(0.9, 0.4).assign(relevant=1)
    write(tmp_path, vlm=everything, inject=everything)
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "tables/tiles.csv")
    assert set(table["tiles"]) == {"relevant"}
    use = pd.read_csv(tmp_path / "tables/attention_use.csv")
    assert (use["n"] == 0).all() and use["top"].isna().all() and (use["n_ranked"] == N).all()
    assert describe_tiles(table, use) == []


def test_a_broken_table_of_tiles_is_named(study: StudyConfig, tmp_path: Path) -> None:
    write(tmp_path, vlm=tiles_of(0.9, 0.4), inject=tiles_of(0.9, 0.4).drop(columns="drop"))
    with pytest.raises(UserError, match=r"inject.csv holds no traces .* run snakemake again"):
        report_analyses.build(tmp_path, study)


def attention_of(variant: str, share: float, spread: float = 0.05, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for question in questions():
        level = share + spread * rng.standard_normal()
        for layer in range(2):
            for part in ("question", "answer 1", "answer 2"):
                rows.append(
                    question
                    | {"variant": variant, "entry": "looks", "layer": layer, "tokens": part}
                    | {"picture": level, "relative": 2 * level, "most": level + 0.1}
                    | {"heads": f"{level + 0.1:.4f} {level - 0.1:.4f}"}
                    | {"relevant": level / 2 if question["axis"] == "perception" else np.nan}
                    | {"irrelevant": level / 4 if question["axis"] == "perception" else np.nan}
                )
    return pd.DataFrame(rows)


def test_heads_and_tiles_of_attention_are_found(study: StudyConfig) -> None:
    traced = pd.concat([attention_of("vlm", 0.3), attention_of("inject", 0.5, seed=1)])
    heads = build_head_rows(study, traced)
    assert len(heads) == 2 * 2 * 3 * 2 * 2
    own = heads[heads["variant"] == "inject"].groupby("head")["picture"].mean()
    assert own.tolist() == pytest.approx([0.6, 0.4], abs=0.03)
    assert (show_strongest(heads)["head"] == 0).all() and len(show_strongest(heads)) == 2 * 2 * 3
    rows = build_trace_rows(study, "visual_attention", traced)
    known = rows[rows["axis"] == "perception"]
    np.testing.assert_allclose(known["relevant"], 2 * known["irrelevant"])
    assert rows[rows["axis"] == "reasoning"][["relevant", "irrelevant"]].isna().all(axis=None)
    inject = rows[rows["variant"] == "inject"]
    assert inject["difference"].to_numpy() == pytest.approx(0.2, abs=0.05)


def claims_of(study: StudyConfig, attention: pd.DataFrame, counts: pd.DataFrame) -> dict[str, str]:
    rows = list(list_shown_claims(study, attention, counts))
    return {str(row["claim"]): str(row["verdict"]) for row in rows}


def counts_of(variant: str, reflections: float, first: int = 0) -> pd.DataFrame:
    """Every other answer has one more than the others."""
    return pd.DataFrame(
        [
            question
            | {"variant": variant, "entry": "thinks", "corrections": 0.0}
            | {"reflections": reflections + (int(question["index"]) + first) % 2}
            for question in questions()
        ]
    )


@pytest.mark.parametrize(("merged", "verdict"), [(0.5, CONFIRMED), (0.1, REFUTED), (0.3, UNDECIDED)])
def test_focus_and_reflection_are_judged(study: StudyConfig, merged: float, verdict: str) -> None:
    attention = pd.concat([attention_of("vlm", 0.3), attention_of("inject", merged, seed=1)])
    counts = pd.concat([counts_of("vlm", 3.0), counts_of("inject", 10 * merged, 1)])
    assert claims_of(study, attention, counts) == dict.fromkeys(
        (FOCUS.name, SHARE.name, REFLECTED.name), verdict
    )


def test_without_v_nothing_is_claimed(study: StudyConfig, tmp_path: Path) -> None:
    assert claims_of(study, attention_of("inject", 0.5), counts_of("inject", 1.0)) == {}
    write(tmp_path, vlm=tiles_of(0.9, 0.4), inject=tiles_of(0.9, 0.4))
    report_analyses.build(tmp_path, study)
    assert describe_claims(tmp_path / "tables/claims.csv") == []


def drift_of(moved_where_lost: float, loss: float) -> pd.DataFrame:
    """Every fourth question that V got right is lost; its picture tokens move by so much more."""
    rng, rows = np.random.default_rng(0), []
    for question in questions():
        right = int(question["index"]) % 10 > 0
        lost = right and rng.random() < loss
        for layer in range(7):
            for part in ("picture", "answer"):
                moved = 0.0 if layer == 0 else 0.1 * layer + (moved_where_lost if lost else 0.0)
                rows.append(
                    question
                    | {"variant": "inject", "entry": "drift", "layer": layer, "tokens": part}
                    | {"cosine": 1.0, "relative": moved + 0.001 * rng.random()}
                    | {"correct": float(right and not lost), "correct_vlm": float(right)}
                )
    return pd.DataFrame(rows)


def test_drift_stands_beside_what_was_lost(study: StudyConfig) -> None:
    rows = build_drift_loss_rows(study, drift_of(0.4, 0.25))
    assert len(rows) == 2 * 3 and (rows["n"] == N).all() and rows["lost"].nunique() == 1
    picture = rows[rows["tokens"] == "picture"].set_index("layers")
    lost = int(picture["lost"].iloc[0])
    expected = [0.15 + 0.4 * lost / N, 0.35 + 0.4 * lost / N, 0.55 + 0.4 * lost / N]
    assert picture["relative"].tolist() == pytest.approx(expected, abs=0.005)
    assert picture["excess"].tolist() == pytest.approx([0.4] * 3, abs=0.005)
    assert (picture["excess_low"] > 0.39).all()
    assert rows["vlm"].unique() == pytest.approx(0.9) and (rows["p"] < 0.05).all()
    assert rows["difference"].unique() == pytest.approx(-lost / N)
    (line,) = describe_drift(rows)
    assert line.startswith("`inject`: picture tokens move by early 0.") and f"{N} questions -0." in line


def test_nothing_lost_has_no_excess(study: StudyConfig) -> None:
    rows = build_drift_loss_rows(study, drift_of(0.4, 0.0))
    assert (rows["lost"] == 0).all() and rows["excess"].isna().all() and (rows["difference"] == 0).all()
