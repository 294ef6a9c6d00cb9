"""`frism across` on finished studies of different triples: numbers, verdicts, words, and what it refuses."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from benchmarks.statistics.hierarchy import average_bases
from benchmarks.tools.across.claims import read_claims
from benchmarks.tools.across.command import compare, main
from benchmarks.tools.across.drawing import draw_methods
from benchmarks.tools.across.effects import Contrast, Measuring
from benchmarks.tools.across.sweeps import price_sweep, read_sweeps
from benchmarks.tools.across.triples import read_population
from tests.benchmarks.conftest import invoke, refused
from tests.support.across_studies import VARIANTS, make_study, settings

CELLS = [{"vlm": "aligned", "lrm": "rehearsed"}, {"vlm": "turned", "lrm": "forgetful"}]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Three bases with two triples each; FRISM's reasoning differs between them."""
    root, folders = tmp_path_factory.mktemp("results"), []
    for number, shift in enumerate([0.0, 0.05, 0.1, 0.12, -0.02, 0.06]):
        base, cell = divmod(number, 2)
        name = f"b{base}_{'at'[cell]}"
        folders.append(
            make_study(root / name, settings(name, CELLS[cell]), (f"base{base}", f"v{number}", f"r{number}"),
                       shift=shift, seed=number)
        )  # fmt: skip
    return folders


@pytest.fixture(scope="module")
def compared(studies, tmp_path_factory):
    out = tmp_path_factory.mktemp("across")
    tables, measuring = compare(studies, out, resamples=300, weights=False)
    return out, tables, measuring


def select(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame


FRISM = {"variant": "frism", "against": "inject", "group": "reasoning", "measure": "test"}


def test_effects_are_differences_of_the_studies_scores(studies, compared) -> None:
    _, tables, _ = compared
    for folder in studies:
        means = {}
        for name in ("frism", "inject"):
            scores = pd.read_csv(folder / f"scores/{name}.csv").query("group == 'reasoning'")
            means[name] = scores.groupby("benchmark")["correct"].mean().mean()
        (row,) = select(tables["effects"], **FRISM, study=folder.name).to_dict("records")
        assert row["difference"] == pytest.approx(means["frism"] - means["inject"])
        assert row["difference_low"] < row["difference"] < row["difference_high"] and row["n"] == 160


def test_over_triples_bases_are_the_units(compared) -> None:
    _, tables, measuring = compared
    effects = measuring.measure(Contrast(**FRISM)).effects
    (row,) = select(tables["overall"], **FRISM, cell="all triples").to_dict("records")
    means = list(average_bases(effects).values())
    assert (row["bases"], row["triples"], row["bases_above"]) == (3, 6, 3)
    assert row["estimate"] == pytest.approx(np.mean(means))
    reach = 4.303 * np.std(means, ddof=1) / 3**0.5
    assert row["estimate_high"] - row["estimate"] >= reach * 0.999
    assert row["questions_low"] < row["estimate"] < row["questions_high"]
    assert row["sign_p"] == row["smallest_p"] == 0.25 and row["power"] == 0
    cells = select(tables["overall"], **FRISM)
    assert list(cells["cell"]) == ["aligned/rehearsed", "turned/forgetful", "all triples"]


def test_price_at_equal_reasoning_is_interpolated_along_the_sweeps(compared) -> None:
    """By hand, from the dev counts: V, the front of the sweep, the line between its points."""
    _, tables, measuring = compared
    triple = measuring.population.triples[0]
    dev = {
        name: [
            rows.assign(share=rows["correct"] / rows["n"]).groupby("axis")["share"].mean()
            for _, rows in pd.read_csv(triple.folder / f"variants/{name}/dev.csv").groupby("point")
        ]
        for name in ("vlm", "inject", "frism")
    }
    vlm = dev["vlm"][0]

    def price(name: str, target: float) -> float:
        points = sorted([vlm, *dev[name]], key=lambda p: p["reasoning"])
        front = [
            p
            for p in points
            if not any(q["reasoning"] >= p["reasoning"] and q["perception"] > p["perception"] for q in points)
        ]
        lost = [vlm["perception"] - p["perception"] for p in front]
        return float(np.interp(target, [p["reasoning"] for p in front], lost))

    best = min(max([vlm["reasoning"], *(p["reasoning"] for p in dev[name])]) for name in ("inject", "frism"))
    target = vlm["reasoning"] + 0.75 * (best - vlm["reasoning"])
    expected = price("inject", target) - price("frism", target)
    asked = {**FRISM, "group": "perception", "measure": "price at 0.75"}
    (row,) = select(tables["effects"], **asked, study=triple.name).to_dict("records")
    assert row["difference"] == pytest.approx(expected, abs=1e-9)
    assert select(tables["overall"], **asked, cell="all triples")["estimate"].item() > 0  # FRISM has no cliff


def test_dev_known_by_question_and_by_counts_agree_where_they_are_observed(studies, tmp_path) -> None:
    folders = [shutil.copytree(f, tmp_path / f.name) for f in studies[:2]]
    for path in folders[0].glob("variants/*/points/*/dev_scores.csv"):
        path.unlink()
    counted, by_question = (
        read_sweeps(read_population(own).triples[0], ["frism", "inject"], resamples=200)
        for own in (folders, studies[:2])
    )
    assert by_question.paired and not counted.paired
    for group in ("perception", "reasoning", "short chains"):
        assert counted.scores[group][0] == pytest.approx(by_question.scores[group][0])
    both = [price_sweep(s, "inject", "perception", 0.9, "frism") for s in (counted, by_question)]
    assert both[0][0] == pytest.approx(both[1][0]) and both[0][1:].std() > 0


def test_claims_are_judged_by_cell_and_over_all(compared) -> None:
    out, tables, _ = compared
    rows = tables["claims"]
    gains = select(rows, claim="frism_reasons", cell="all triples").iloc[0]
    assert gains["verdict"] == "holds" and gains["above"] == gains["triples"] == 6
    assert select(rows, claim="frism_keeps_the_rest", cell="all triples").iloc[0]["verdict"] == "fails"
    absent = {c.name for c in read_claims().claims} - set(rows["claim"])
    assert "which_directions" in absent and "all_layers_reason" in absent
    text = (out / "summary.md").read_text()
    assert f"cannot speak to: {', '.join(c.name for c in read_claims().claims if c.name in absent)}" in text
    one_base = read_claims().model_copy(update={"least_bases": 4})
    from benchmarks.tools.across.tables import build_claim_rows

    assert set(build_claim_rows(compared[2], one_base)["verdict"]) == {"undecided"}


def test_numbers_of_layers_come_from_the_studies_claims(studies, tmp_path) -> None:
    folders = [shutil.copytree(f, tmp_path / f.name) for f in studies]
    for number, folder in enumerate(folders):
        pd.DataFrame(
            {"claim": "perception early, reasoning late", "entry": "knock_out", "variant": "inject",
             "action": "reciprocal", "module": ["attention", "mlp"], "estimate": [0.2, 0.1 + number / 100],
             "low": 0.1, "high": 0.3, "bound": 0.0, "verdict": "confirmed"}
        ).to_csv(folder / "tables/claims.csv", index=False)  # fmt: skip
    measuring = Measuring(read_population(folders), resamples=400)
    claim = next(c for c in read_claims().claims if c.name == "perception_early_reasoning_late")
    effects = measuring.measure_claim(claim)
    assert [e.estimate for e in effects] == pytest.approx([0.15 + n / 200 for n in range(6)])
    assert effects[0].draws.std() == pytest.approx(0.2 / 3.92, rel=0.2)


def test_the_summary_says_what_the_tables_say(compared) -> None:
    out, tables, _ = compared
    text = (out / "summary.md").read_text()
    assert text.startswith("# 6 triples of 3 bases") and "Signs alone need 6 bases" in text
    assert set(re.findall(r"\]\((figures/\S+)\)", text)) <= {
        f"figures/{p.name}" for p in (out / "figures").iterdir()
    }
    (row,) = select(tables["overall"], **FRISM, cell="all triples").to_dict("records")
    shown = f"{row['estimate']:+.3f} [{row['estimate_low']:+.3f}, {row['estimate_high']:+.3f}]"
    line = next(x for x in text.splitlines() if x.startswith("| `inject` | reasoning | test |"))
    assert shown in line and ("better" in line) == (row["estimate_low"] > 0)
    assert json.loads((out / "across.json").read_text())["studies"]["b0_a"]["base"] == "base0"


def test_the_figure_of_methods_by_cell_carries_the_tables_numbers(compared, tmp_path) -> None:
    _, tables, measuring = compared
    figure = draw_methods(measuring, tables["effects"], tables["overall"], tmp_path)
    panels = dict(zip(["reasoning", "perception", "short chains"], figure.axes, strict=True))
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    shown = ["inject", "frism", "frism_matrix_scaled"]  # controls at FRISM's norm have no choice of their own
    cells = ["aligned/rehearsed", "turned/forgetful", "all triples"]
    assert names == shown * len(cells)
    for group, ax in panels.items():
        against_v = select(tables["overall"], against="vlm", group=group, measure="test")
        for number, name in enumerate(names):
            at, cell = ax.get_yticks()[number], cells[number // 3]
            (row,) = select(against_v, variant=name, cell=cell).to_dict("records")
            drawn = [x for x in ax.get_lines() if {round(y - at, 2) for y in x.get_ydata()} <= {-0.36, 0.0}]
            dots, ends, mean = (list(line.get_xdata()) for line in drawn)
            assert mean == [row["estimate"]] and ends == [row["estimate_low"], row["estimate_high"]]
            assert len(dots) == row["triples"] and min(dots) <= row["estimate"] <= max(dots)


def test_every_table_and_forest_is_there_and_the_same_again(compared, studies, tmp_path) -> None:
    out, *_ = compared
    compare(studies, tmp_path, resamples=300, weights=False)
    names = {p.relative_to(out).as_posix() for p in out.rglob("*.*") if p.is_file()}
    assert {
        "tables/claims.md",
        "figures/forest_frism.png",
        "figures/methods_by_cell.svg",
        "figures/forest_frism_frism_uniform.svg",
    } <= names
    assert not [n for n in names if (tmp_path / n).read_bytes() != (out / n).read_bytes()]


def test_common_benchmarks_and_variants_alone_are_compared_and_it_is_said(studies, tmp_path) -> None:
    few = {name: VARIANTS[name] for name in ("vlm", "frism", "inject")}
    whole = settings("other", benchmarks=["mini_number", "mini_total"], variants=few, text=[], text_of="all")
    whole["selection"] = {"perception_budget": 0.05}
    other = make_study(tmp_path / "other", whole, ("base9", "v9", "r9"), seed=9)
    run = invoke(main, studies[0], other, "--out", tmp_path / "out", "--resamples", "100", "--no-weights")
    assert run.exit_code == 0, run.stderr
    assert "Left out: benchmark mini_add, which other lack." in run.stdout
    assert "Left out: variant frism_uniform, which other lack." in run.stdout
    effects = pd.read_csv(tmp_path / "out/tables/effects.csv")
    assert set(effects["group"]) == {"perception", "reasoning"} and set(effects["variant"]) == {
        "frism",
        "inject",
    }
    assert effects.query("measure == 'test' and group == 'reasoning'")["n"].unique().tolist() == [80]


def break_scores(folder):
    (folder / "scores/frism.csv").unlink()


def rename(folder):
    path = folder / "study.json"
    content = json.loads(path.read_text())
    content["config"]["study"] = "b0_a"
    path.write_text(json.dumps(content))


def change(folder, old, new):
    path = folder / "study.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def change_rules(folder, value):
    (folder / "scores/frism.provenance.json").write_text(json.dumps({"extractor": value}))


REFUSED = {
    "unfinished": (break_scores, r"scores/frism.csv is missing"),
    "one name": (rename, "is named b0_a, as another one is"),
    "another budget": (
        lambda f: change(f, '"perception_budget": 0.05', '"perception_budget": 0.02'),
        "differ in selection.perception_budget (0.05 and 0.02)",
    ),
    "another method of one name": (
        lambda f: change(f, '"method": "put_back"', '"method": "interp"'),
        "variant put_back has method put_back in",
    ),
    "other rules": (lambda f: change_rules(f, 2), "were scored by different versions of extractor"),
    "no record": (lambda f: (f / "study.json").unlink(), "is no results folder of a study"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_compared_is_refused_in_one_sentence(studies, tmp_path, fault) -> None:
    spoil, complaint = REFUSED[fault]
    folders = [shutil.copytree(f, tmp_path / f.name) for f in studies[:2]]
    change_rules(folders[0], 1)
    spoil(folders[1])
    run = invoke(main, *folders, "--out", tmp_path / "out")
    assert refused(run, complaint), run.stderr
    assert not (tmp_path / "out").exists()


def test_one_triple_twice_one_study_and_nothing_in_common_are_refused(studies, tmp_path) -> None:
    again = make_study(tmp_path / "again", settings("again"), ("base0", "v0", "r0"), seed=3, tables=False)
    assert refused(invoke(main, studies[0], again), "are studies of one triple: leave one of them out")
    assert refused(invoke(main, studies[0]), "one study says nothing of triples")
    assert refused(invoke(main, studies[0], studies[0]), "one study says nothing of triples")
    whole = settings("others", benchmarks=["mini_color", "mini_net"], text=[], text_of="all")
    whole["selection"] = {"perception_budget": 0.05}
    others = [
        make_study(
            tmp_path / name, whole | {"study": name, "benchmarks": names}, ("b", "v", name), tables=False
        )
        for name, names in (("one", ["mini_number", "mini_total"]), ("two", ["mini_color", "mini_net"]))
    ]
    assert refused(
        invoke(main, *others), "no benchmark was asked in all studies (one: mini_number, mini_total"
    )
    assert refused(invoke(main, *studies[:2], "--confidence", "95"), "--confidence 95.0 is no level")
