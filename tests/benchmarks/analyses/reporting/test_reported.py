"""Tables, claims and figures of planted profiles: the numbers are those that were planted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.analyses.reporting.answers import read_answers
from benchmarks.analyses.reporting.claims import ALIKE, CONFIRMED, REFUTED, UNDECIDED, judge
from benchmarks.analyses.reporting.depth import find_centre, measure_entropy, measure_gini
from benchmarks.analyses.reporting.sentences import describe_claims
from benchmarks.stages import report_analyses
from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from tests.support.studies import record, study_of

LAYERS, N = 6, 200
FLAT = [0.3] * LAYERS
EARLY, LATE = [0.6, 0.3, 0, 0, 0, 0], [0, 0, 0, 0, 0.3, 0.6]
Profiles = dict[str, list[float]]  # losses by layer of an axis


def study(entry: str = "knock_out", **changes: Any) -> StudyConfig:
    return study_of(
        {
            "benchmarks": ["mini_number", "mini_count", "mini_total"],
            "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
            "statistics": {"resamples": 400},
            "analyses": {entry: {}},
        }
        | changes
    )


def scores_of(
    variant: str, profiles: Profiles, action: str = "zero", seed: int = 0, whole: float = 0.0
) -> pd.DataFrame:
    """Scores of which so many right answers, in expectation, are lost to each layer."""
    rng, rows = np.random.default_rng(seed), []
    names = {"perception": ["mini_number", "mini_count"], "reasoning": ["mini_total"]}
    for axis, losses in profiles.items():
        for name in names[axis]:
            intact = rng.random(N) < 0.9
            steps = [("intact", -1, intact), ("bare", -1, intact & (rng.random(N) >= whole))]
            for layer, loss in enumerate(losses):
                kept = (steps[1][2] | (rng.random(N) < loss)) if action == "in" else rng.random(N) >= loss
                steps.append((action, layer, kept & intact))
            for kind, layer, right in steps:
                module = "mlp" if layer >= 0 else "all"
                rows += [
                    (variant, kind, module, "layers", layer, layer, name, axis, i, "", float(right[i]))
                    for i in range(N)
                ]
    columns = [
        "variant",
        "action",
        "module",
        "unit",
        "first",
        "last",
        "benchmark",
        "axis",
        "index",
        "cluster",
        "correct",
    ]
    return pd.DataFrame(rows, columns=columns)


Reported = Callable[..., dict[str, pd.DataFrame]]


@pytest.fixture
def report(tmp_path: Path) -> Reported:
    def make(
        entry: str = "knock_out", config: StudyConfig | None = None, **tables: pd.DataFrame
    ) -> dict[str, pd.DataFrame]:
        for variant, table in tables.items():
            path = tmp_path / f"analyses/{entry}/{variant}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)
        report_analyses.build(tmp_path, config or study(entry))
        return {name: pd.read_csv(tmp_path / f"tables/{name}.csv") for name in report_analyses.TABLES}

    return make


def test_a_profile_of_one_layer_is_at_that_layer_and_an_even_one_in_the_middle() -> None:
    positions = np.linspace(0, 1, LAYERS)
    for layer in range(LAYERS):
        one = np.eye(LAYERS)[[layer]]
        assert find_centre(one, positions)[0] == positions[layer]
        assert measure_entropy(one, positions)[0] == 0 and measure_gini(one, positions)[0] == pytest.approx(1)
    even = np.ones((1, LAYERS))
    assert find_centre(even, positions)[0] == pytest.approx(0.5)
    assert measure_entropy(even, positions)[0] == pytest.approx(1)
    assert measure_gini(even, positions)[0] == pytest.approx(0)
    assert np.isnan(find_centre(-even, positions)).all()


def test_planted_losses_and_centres_are_found(report: Reported) -> None:
    tables = report(vlm=scores_of("vlm", {"perception": EARLY, "reasoning": LATE}))
    losses = tables["knock_outs"].query("action == 'zero'").set_index(["axis", "first"])
    for axis, planted in (("perception", EARLY), ("reasoning", LATE)):
        found = losses.loc[axis].sort_index()
        assert (found["difference_low"] <= 0.9 * -np.array(planted) + 0.04).all()
        assert (found["difference_high"] >= 0.9 * -np.array(planted) - 0.04).all()
        np.testing.assert_allclose(found["relative"], -np.array(planted), atol=0.1)
        np.testing.assert_allclose(found["difference"], found["score"] - found["reference"], atol=2e-4)
    assert losses.loc["perception", "n"].unique().tolist() == [2 * N]
    assert losses.loc[("perception", 0), "p_holm"] < 1e-6 and losses.loc[("perception", 5), "p_holm"] == 1
    depth = tables["depth"].set_index("axis")
    assert depth.loc["perception", "centre"] == pytest.approx(1 / 15, abs=0.03)
    assert depth.loc["reasoning", "centre"] == pytest.approx(14 / 15, abs=0.03)
    assert (depth["centre_low"] <= depth["centre"]).all() and (depth["centre"] <= depth["centre_high"]).all()
    assert depth["blocks"].tolist() == [LAYERS, LAYERS]


def verdicts(tables: dict[str, pd.DataFrame], variant: str) -> list[str]:
    table = tables["claims"]
    return table[table["variant"] == variant]["verdict"].tolist()


def test_what_the_paper_says_is_confirmed_where_it_was_planted(report: Reported, tmp_path: Path) -> None:
    tables = report(
        vlm=scores_of("vlm", {"perception": EARLY, "reasoning": LATE}),
        inject=scores_of(
            "inject", {"perception": EARLY, "reasoning": [0.3, 0.3, 0.3, 0.3, 0.3, 0.6]}, seed=1
        ),
    )
    assert verdicts(tables, "vlm") == [CONFIRMED]
    assert verdicts(tables, "inject") == [CONFIRMED] * 4
    assert tables["claims"]["bound"].tolist() == [0, 0, 0, 0, ALIKE]
    lines = describe_claims(tmp_path / "tables/claims.csv")
    assert len(lines) == 4 and lines[0].startswith("Perception early, reasoning late (centre of")
    assert "confirmed by 2 of 2 (`vlm` mlp zero +0.8" in lines[0]


def test_the_opposite_is_refuted_and_no_difference_undecided(report: Reported) -> None:
    tables = report(
        vlm=scores_of("vlm", {"perception": LATE, "reasoning": FLAT}),
        inject=scores_of("inject", {"perception": EARLY, "reasoning": EARLY}, seed=1),
    )
    assert verdicts(tables, "vlm") == [REFUTED]
    assert verdicts(tables, "inject") == [UNDECIDED, REFUTED, REFUTED, REFUTED]
    same = report(
        vlm=scores_of("vlm", {"perception": FLAT, "reasoning": FLAT}),
        inject=scores_of("inject", {"perception": FLAT, "reasoning": FLAT}, seed=1),
    )
    assert verdicts(same, "inject")[:3] == [UNDECIDED] * 3


def test_a_verdict_needs_the_whole_interval() -> None:
    assert judge(0.1, 0.2) == CONFIRMED and judge(-0.2, -0.1) == REFUTED
    assert judge(-0.1, 0.1) == judge(0.0, 0.1) == judge(float("nan"), float("nan")) == UNDECIDED
    assert judge(0.1, 0.4, ALIKE) == REFUTED


def test_nothing_lost_has_no_centre_and_decides_nothing(report: Reported) -> None:
    tables = report(vlm=scores_of("vlm", {"perception": [0.0] * LAYERS, "reasoning": LATE}))
    assert tables["depth"].set_index("axis").loc["perception", ["centre", "centre_low"]].isna().all()
    assert verdicts(tables, "vlm") == [UNDECIDED]


def test_a_change_put_in_is_compared_with_v_and_says_what_it_carries(report: Reported) -> None:
    planted = [0, 0, 0.5, 0, 0, 0.9]
    profiles = {"perception": [0.0] * LAYERS, "reasoning": planted}
    tables = report("delta_knock_in", inject=scores_of("inject", profiles, "in", whole=0.6))
    rows = tables["knock_outs"].query("axis == 'reasoning'")
    put = rows[rows["action"] == "in"].set_index("first")
    assert set(put["against"]) == {"bare"} and rows[rows["action"] == "bare"]["against"].tolist() == [
        "intact"
    ]
    np.testing.assert_allclose(put["carried"], planted, atol=0.12)
    assert tables["claims"].empty  # they are about full weights
    assert tables["depth"].set_index("axis").loc["reasoning", "centre"] == pytest.approx(
        (0.5 * 2 + 0.9 * 5) / 1.4 / 5, abs=0.05
    )


def test_reports_repeat_bit_for_bit_and_draw_every_entry(report: Reported, tmp_path: Path) -> None:
    tables = {"vlm": scores_of("vlm", {"perception": EARLY, "reasoning": LATE})}
    report(**tables)
    files = [*(tmp_path / "tables").iterdir(), *(tmp_path / "figures").iterdir()]
    assert sorted(f.name for f in files if f.suffix in (".png", ".svg")) == [
        "analysis_knock_out.png",
        "analysis_knock_out.svg",
    ]
    before = {path: path.read_bytes() for path in files}
    report(**tables)
    assert {path: path.read_bytes() for path in files} == before
    shown = (tmp_path / "tables/knock_outs.md").read_text()
    assert shown.count("| vlm") == 2 * 2  # of every profile one block, and V's weights


def test_other_questions_and_broken_files_are_named(report: Reported, tmp_path: Path) -> None:
    table = scores_of("vlm", {"perception": EARLY, "reasoning": LATE})
    other = scores_of("inject", {"perception": EARLY, "reasoning": LATE})
    with pytest.raises(UserError, match=r"inject and vlm answered other questions on the axis"):
        report(vlm=table, inject=other.assign(index=other["index"] + 1))
    with pytest.raises(UserError, match=r"mini_number was not asked alike"):
        report(vlm=table.drop(index=3))
    (tmp_path / "analyses/knock_out/vlm.csv").write_text("variant\n")
    with pytest.raises(UserError, match=r"vlm.csv holds no scores of an analysis"):
        report()


def test_the_command_reads_the_record(report: Reported, tmp_path: Path) -> None:
    report(vlm=scores_of("vlm", {"perception": EARLY, "reasoning": LATE}))
    report_analyses.main(record(tmp_path, study().model_dump(mode="json")))
    assert len(read_answers(tmp_path, study())) == 1
