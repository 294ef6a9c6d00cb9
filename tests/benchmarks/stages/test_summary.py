"""The summary says what the tables allow and nothing else."""

import json
import math
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.stages import explain
from benchmarks.stages.summary import find_missed, main, render
from benchmarks.stages.tables import build
from benchmarks.tables.findings import Budget, Finding
from benchmarks.tables.gates.bimodality import UNIFORM
from tests.support.studies import record, study_of
from tests.support.synthetic_study import config, make

SUITES = ["mini_number", "mini_count", "mini_add", "mini_total", "mini_net", "mini_total_unasked"]
FEW = ["vlm", "inject", "inject_late", "frism", "frism_uniform", "frism_shuffled"]


@pytest.fixture(scope="module")
def study():
    settings = config(
        benchmarks=SUITES, text=["mini_total"], statistics={"confidence": 0.95, "resamples": 200}
    )
    settings["variants"] = {v: settings["variants"][v] for v in FEW}
    return study_of(settings)


@pytest.fixture(scope="module")
def results(tmp_path_factory, study):
    settings = study.model_dump(mode="json")
    folder = make(tmp_path_factory.mktemp("study"), settings, n=150, n_dev=40)
    build(folder, study, folder / "tables")
    explain.build(folder, study, folder / "tables")
    return folder


@pytest.fixture
def own(results, tmp_path):
    return shutil.copytree(results / "tables", tmp_path / "tables")


def change(folder, table, where, **values):
    """Set cells of one row of a table."""
    path = folder / f"{table}.csv"
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    rows = pd.Series(True, index=frame.index)
    for column, value in where.items():
        rows &= frame[column] == value
    assert rows.sum() == 1
    for column, value in values.items():
        frame.loc[rows, column] = str(value)
    frame.to_csv(path, index=False)


FINDING = Finding("a", "vlm", "reasoning", 400, 0.1, 0.05, 0.15, 0.01, 0.04, alpha=0.05)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "gain"),
        ({"p_holm": 0.06}, "not shown"),
        ({"low": -0.001}, "not shown"),
        ({"low": -0.15, "high": -0.05, "difference": -0.1}, "loss"),
        ({"low": -0.15, "high": -0.05, "difference": -0.1, "p_holm": 0.2}, "not shown"),
        ({"p_holm": math.nan}, "not shown"),
    ],
)
def test_rules(changed, verdict):
    assert replace(FINDING, **changed).verdict == verdict


@pytest.mark.parametrize(
    ("p", "p_holm", "verdict"), [(0.001, 0.01, "kept"), (0.01, 0.08, "before Holm"), (0.3, 1, "not shown")]
)
def test_rules_of_the_budget(p, p_holm, verdict):
    budget = Budget(loss=0.01, limit=0.018, p=p, p_holm=p_holm, alpha=0.05)
    assert budget.verdict == verdict and budget.words.startswith("at most 0.018 lost, Holm p = ")


def test_a_number_comes_with_interval_n_and_p():
    assert FINDING.words == "+0.100 [+0.050, +0.150] (n = 400, Holm p = 0.010)"


def section(text, title):
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, title
    return found[1]


def test_sections_and_every_variant(results, study):
    text = render(study, results / "tables", ())
    for title in (
        "Setting",
        "Reasoning, steps asked for",
        "Perception",
        "`frism` against its controls and plain injection",
        "Habit or ability",
        'Group "short chains", which no axis counts',
        "Text only: described scenes, no image",
        "Style",
        "What this study does not show",
    ):
        section(text, title)
    for variant in FEW:
        assert f"`{variant}`" in text
    assert "nan" not in text.lower() and "\n\n\n" not in text and text.endswith("\n")


def test_every_number_is_in_the_tables(results, study):
    text = render(study, results / "tables", ())
    known = set()
    tables = ["axes", "contrasts", "style", "pareto", "oracle", "selection", *explain.TABLES]
    frames = [pd.read_csv(results / "tables" / f"{name}.csv") for name in tables]
    overlap = pd.read_csv(results / "tables" / "overlap.csv").groupby("variant")
    frames += [overlap.mean(numeric_only=True), overlap.median(numeric_only=True)]
    for frame in (frame.select_dtypes("number") for frame in frames):
        known |= {f"{abs(v):.3f}" for v in frame.to_numpy().ravel() if not math.isnan(v)}
    style = pd.read_csv(results / "tables" / "style.csv")
    known |= {f"{abs(v):.3f}" for v in style["score_raw"] - style["score"]}
    known.add(f"{UNIFORM:.3f}")
    for number in re.findall(r"\d\.\d{3}\b", text):
        assert number in known or number == "0.001", number


def test_gain_only_after_holm(own, study):
    where = {"variant": "inject", "group": "reasoning"}
    change(own, "axes", where, difference=0.1, difference_low=0.05, difference_high=0.15, p_holm=0.001)
    gained = section(render(study, own, ()), "Reasoning, steps asked for").splitlines()
    assert "`inject`" in next(line for line in gained if line.startswith("- Gain shown"))
    change(own, "axes", where, p_holm=0.2)
    text = section(render(study, own, ()), "Reasoning, steps asked for").splitlines()
    assert "`inject`" not in next(line for line in text if line.startswith("- Gain shown"))
    assert "`inject`" in next(line for line in text if line.startswith("- No difference shown"))


def test_a_null_against_plain_injection_is_said(own, study):
    title = "`frism` against its controls and plain injection"
    null = {"difference": 0.0, "difference_low": -0.02, "difference_high": 0.02, "p_holm": 1}
    for group in ("perception", "reasoning"):
        change(own, "contrasts", {"against": "inject", "group": group}, **null)
    text = section(render(study, own, ()), title)
    for group in ("perception", "reasoning"):
        assert (
            f"An advantage of `frism` over plain injection in {group} is **not shown** by this study." in text
        )
    worse = {"difference": -0.1, "difference_low": -0.12, "difference_high": -0.08, "p_holm": 0.001}
    change(own, "contrasts", {"against": "inject", "group": "reasoning"}, **worse)
    text = section(render(study, own, ()), title)
    assert "In reasoning, against plain injection: better than none, worse than `inject`, of 1." in text


def shown_budget(own, study, **values):
    """The lines on non-inferiority after changing the test of `inject`."""
    shown = {"difference": 0.2, "difference_low": 0.1, "difference_high": 0.3, "p_holm": 0.001}
    change(own, "axes", {"variant": "inject", "group": "reasoning"}, **shown)
    change(own, "pareto", {"variant": "inject"}, **values)
    return {line.split(":")[0]: line for line in section(render(study, own, ()), "Perception").splitlines()}


def test_kept_takes_the_test_and_holm(own, study):
    lines = shown_budget(own, study, p=0.0001, p_holm=0.001)
    assert "`inject`" in lines["- Kept within 0.02"]
    assert "**`inject`" in lines["A shown reasoning gain together with perception kept in that sense"]
    lines = shown_budget(own, study, p=0.01, p_holm=0.08, loss_limit=0.0123)
    assert "`inject`" not in lines["- Kept within 0.02"]
    assert "`inject`" in lines["- Only before Holm's adjustment, so not shown here"]
    both = lines["A shown reasoning gain together with perception kept in that sense"]
    assert "Only before Holm's adjustment: `inject` (at most 0.012 lost, Holm p = 0.080)" in both
    lines = shown_budget(own, study, p=0.4, p_holm=1)
    assert "`inject`" not in "".join(lines[k] for k in lines if k.startswith(("- Kept", "- Only")))


def test_front_and_ties(results, own, study):
    text = section(render(study, own, ()), "Front and ties")
    pareto = pd.read_csv(own / "pareto.csv")
    for variant in FEW:
        on_front = (pareto["variant"] == variant) & (pareto["front"] == "yes")
        assert (f"`{variant}` (" in text.split("The front dominates")[0]) == bool(on_front.any())
    assert "- perception: " in text and "- text: " in text


def test_oracles_are_no_results(own, study):
    text = section(render(study, own, ()), "Oracles, which are no results")
    assert "nothing above uses it" in text and " choices" in text
    assert "Oracle" not in render(study, own, ()).split("## Oracles")[0]


def test_judges_are_told_when_there_are_two(own, study):
    assert "## Judges" not in render(study, own, ())
    columns = pd.read_csv(own / "judges.csv").columns
    row = dict.fromkeys(columns, 0) | {"variant": "all", "benchmark": "mini_total", "n": 900, "kappa": 0.8125}
    pd.DataFrame([row]).to_csv(own / "judges.csv", index=False)
    assert "over all variants: mini_total 0.812 (n = 900)." in section(render(study, own, ()), "Judges")


def test_tokens_are_told(own, study):
    text = section(render(study, own, ()), "Cost")
    assert re.search(r"first: `vlm` \d+\.\d, `\w+` \d+\.\d", text) and "tables/costs.md" in text


def test_habit_is_told_from_ability(own, study):
    shown = {"difference": 0.2, "difference_low": 0.1, "difference_high": 0.3, "p_holm": 0.001}
    null = {"difference": 0.0, "difference_low": -0.1, "difference_high": 0.1, "p_holm": 1}
    change(own, "axes", {"variant": "inject", "group": "reasoning"}, **null)
    change(own, "axes", {"variant": "inject", "group": "unasked"}, **shown)
    habit = section(render(study, own, ()), "Habit or ability").splitlines()
    assert "`inject`" in next(line for line in habit if line.startswith("- Only when not asked"))


def test_failures_of_form_are_told(own, study):
    assert "In no variant and group" in section(render(study, own, ()), "Style")
    change(own, "style", {"variant": "inject", "group": "reasoning"}, truncated=0.31)
    assert "`inject`, reasoning (n = 300): cut at the token limit 31.0%" in section(
        render(study, own, ()), "Style"
    )


def test_a_study_without_learned_variants_or_text(results, study, tmp_path):
    plain = study.model_copy(
        update={"variants": {v: study.variants[v] for v in FEW[:3]}, "text": (), "calibration": None}
    )
    build(results, plain, tmp_path / "tables")
    explain.build(results, plain, tmp_path / "tables")
    text = render(plain, tmp_path / "tables", ())
    assert "against its controls" not in text and "Text only" not in text and "synthetic" not in text


def test_command_line_writes_the_file(results, study, tmp_path):
    for folder in ("tables", "variants"):
        shutil.copytree(results / folder, tmp_path / folder)
    main(record(tmp_path, study.model_dump(mode="json")))
    assert (tmp_path / "summary.md").read_text() == render(
        study, results / "tables", find_missed(study, results)
    )


def test_a_missed_budget_is_noted_whatever_the_rule_says(results, study, tmp_path):
    folder = shutil.copytree(results, tmp_path / "study")
    path = folder / "variants" / "inject" / "choice.json"
    choice = json.loads(path.read_text()) | {"rule": "budget missed, says a sentence that nothing reads"}
    for missed in (True, False):
        path.write_text(json.dumps(choice | {"budget_missed": missed}))
        build(folder, study, folder / "tables")
        main(record(folder, study.model_dump(mode="json")))
        rows = (folder / "tables" / "selection.md").read_text().splitlines()
        noted = [row.split()[1] for row in rows if row.endswith("yes (budget missed) |")]
        summary = (folder / "summary.md").read_text().splitlines()
        line = next((line for line in summary if line.startswith("No point of")), "")
        assert ("inject" in noted) is missed and ("`inject`" in line) is missed


def test_text_benchmarks_go_by_their_names(results, study):
    """gsm8k was said to be described scenes."""
    told = {
        ("mini_total",): "described scenes", ("gsm8k",): "gsm8k",
        ("mini_total", "gsm8k", "math_500"): "described scenes, gsm8k and math_500",
    }  # fmt: skip
    for names, about in told.items():
        changed = study.model_copy(update={"text": names})
        text = render(changed, results / "tables", ())
        assert f"\n## Text only: {about}, no image\n" in text
        assert f"The triple's `base` on {about}: " in text
        assert ("described scenes" in text) == ("mini_total" in names)


def test_questions_that_could_not_be_answered_are_in_a_table_and_in_words(results, study, tmp_path):
    whole = render(study, results / "tables", ())
    assert not (results / "tables" / "failures.csv").exists() and "could not be answered" not in whole
    own = shutil.copytree(results, tmp_path / "study")
    for path, kind in (
        (own / "scores" / "inject.csv", "refused"),
        (own / "text" / "frism.csv", "too_long"),
    ):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame["rule"] = "answer phrase"
        frame.loc[frame.index[:3], ["rule", "raw", "extracted", "correct"]] = [f"failed: {kind}", "", "", "0"]
        frame.to_csv(path, index=False)
    dev = own / "variants" / "inject" / "dev.csv"
    frame = pd.read_csv(dev)
    frame["failed_picture"] = [2 if b == "mini_number" and p == 1 else 0 for b, p in
                               zip(frame["benchmark"], frame["point"], strict=True)]  # fmt: skip
    frame.to_csv(dev, index=False)
    build(own, study, own / "tables")
    rows = pd.read_csv(own / "tables" / "failures.csv")
    assert rows[["variant", "split", "benchmark", "kind", "failed", "n"]].to_numpy().tolist() == [
        ["inject", "test", "mini_number", "refused", 3, 150],
        ["frism", "text", "mini_total", "too long", 3, 150],
        ["inject", "dev", "mini_number", "picture", 2, 40],
    ]
    assert "refused" in (own / "tables" / "failures.md").read_text()
    style = section(render(study, own / "tables", ()), "Style")
    assert (
        "Questions that could not be answered count as wrong (`tables/failures.md`):\n\n- `inject`" in style
    )
    for line in (
        "- `inject`, mini_number: refused 3 of 150",
        "- `frism`, mini_total: too long 3 of 150",
        "- `inject`, mini_number on dev: picture 2 of 40",
    ):
        assert f"{line}\n" in style
    for name in ("scores", "text", "variants"):
        shutil.rmtree(own / name)
        shutil.copytree(results / name, own / name)
    build(own, study, own / "tables")
    assert not list((own / "tables").glob("failures*")), "the table of an earlier run goes"


def test_the_engines_noise_is_named_where_it_was_measured(study, own):
    before = render(study, own, [])
    assert "The engine's noise" not in before
    (own.parent / "noise").mkdir()
    floor = {"variant": "inject", "n": 200, "answers": 7, "scores": 3, "benchmarks": {}}
    (own.parent / "noise" / "inject.json").write_text(json.dumps(floor))
    after = render(study, own, [])
    said = [line for line in after.splitlines() if line not in before.splitlines()]
    assert said[0].endswith("`inject` gave 7 other answers and 3 other scores to 200")
    assert said[1].startswith("questions (1.50 %)") and len(said) == 2


def test_rivals_of_the_config_have_duels_and_a_verdict_of_their_own(results, study, tmp_path):
    statistics = study.statistics.model_copy(update={"rivals": ("inject_late",)})
    named = study.model_copy(update={"statistics": statistics})
    build(results, named, tmp_path)
    explain.build(results, named, tmp_path)
    before, rows = (pd.read_csv(folder / "contrasts.csv") for folder in (results / "tables", tmp_path))
    added = rows[rows["kind"] == "rival"]
    assert set(added["against"]) == {"inject_late"} and set(added["variant"]) == {"frism"}
    assert len(rows) == len(before) + len(added)
    assert (rows["p_holm"].dropna() >= rows["p"].dropna()).all()
    text = render(named, tmp_path, ())
    assert "against its controls, plain injection and rivals" in text
    assert "- `inject_late` (rival" in text
    assert re.search(r"In reasoning, against rivals: better than .*, of 1\.", text)
    assert "rivals" not in render(study, results / "tables", ())


def test_verdicts_on_the_papers_claims_are_said_where_there_are_any(study, results, own):
    analysed = study_of(study.model_dump(mode="json") | {"analyses": {"knock_out": {}}})
    assert "## Why it works" not in render(analysed, own, find_missed(study, results))
    row = [
        "perception early, reasoning late",
        "knock_out",
        "vlm",
        "zero",
        "mlp",
        0.5,
        0.4,
        0.6,
        0,
        "confirmed",
    ]
    columns = ["claim", "entry", "variant", "action", "module", "estimate", "low", "high", "bound", "verdict"]
    pd.DataFrame([row], columns=columns).to_csv(own / "claims.csv", index=False)
    text = render(analysed, own, find_missed(study, results))
    assert "confirmed by 1 of 1 (`vlm` mlp zero +0.500 [+0.400, +0.600])." in text
    assert "## Why it works" not in render(study, own, find_missed(study, results))
