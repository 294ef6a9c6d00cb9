"""`frism compare`: runs side by side, without a checkpoint or a study's config."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.scoring import answer_csv
from benchmarks.stages import tables
from benchmarks.statistics.paired_tests import mcnemar
from benchmarks.study.results import read_run
from benchmarks.tools import compare_runs, import_predictions
from tests.benchmarks.conftest import invoke, refused
from tests.support import synthetic_study, tsvs
from tests.support.foreign_files import write_plain
from tests.support.shared_data import find_shared, read_records
from tests.support.studies import study_of

ROOT = Path(__file__).resolve().parents[4]
NAMES = ["MMStar", "MathVista_MINI"]
SHARES = {"Strong-7B": 0.8, "weak": 0.3, "Strong_again": 0.8}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of two benchmarks, a perception and a reasoning one."""
    folder = tmp_path_factory.mktemp("imported")
    for name in NAMES:
        path = tsvs.make(name, folder / "data", 40)
        for label, share in SHARES.items():
            rng = random.Random(f"{name} {label}")
            texts = {
                row["index"]: f"The answer is {right}." if rng.random() < share else "Hard to say."
                for row, right in zip(tsvs.read(path), tsvs.right_answers(path), strict=True)
            }
            add(folder / "out", path, label, texts)
    return folder / "out"


def add(out: Path, table: Path, label: str, texts: dict[str, str], *options: str) -> None:
    file = write_plain(out.parent / f"{table.stem}_{label}.jsonl", texts)
    result = invoke(
        import_predictions.main, file, "--benchmark", json.dumps(tsvs.pinned(table)), "--as", label, "--out",
        out, "--data", table.parent, *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def compare(*arguments: str | Path):
    return invoke(compare_runs.main, *arguments)


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / f"{name}.csv")


@pytest.fixture
def own(imported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(imported, tmp_path / "own", symlinks=True)


def test_imported_runs_get_what_a_studys_tables_give(imported: Path, tmp_path: Path) -> None:
    result = compare(imported, "--reference", "weak", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.output
    rows = read(tmp_path / "c", "benchmarks").set_index(["variant", "benchmark"])
    assert list(dict.fromkeys(rows.index.get_level_values(0))) == ["weak", "Strong-7B", "Strong_again"]
    for name in NAMES:
        one, other = (
            read_run(imported / name / "scores" / f"{k}.csv").set_index("index")["correct"]
            for k in ("Strong-7B", "weak")
        )
        row = rows.loc[("Strong-7B", name)]
        gained, lost = int((one > other).sum()), int((one < other).sum())
        assert (row["n"], row["gained"], row["lost"]) == (40, gained, lost) and gained > lost
        assert row["p"] == pytest.approx(mcnemar(gained, lost), rel=1e-3)
        assert row["score"] == pytest.approx(one.mean(), abs=1e-4) and row["low"] < row["score"] < row["high"]
    flips, style = read(tmp_path / "c", "flips"), read(tmp_path / "c", "style")
    assert len(flips) == rows["gained"].sum() + rows["lost"].sum()
    assert style[["truncated", "tokens_mean", "tokens_p95"]].isna().all(axis=None)
    assert (style["not_extracted"] > 0).all() and set(style["group"]) == {"perception", "reasoning"}
    assert "unknown" in result.stdout and "Strong-7B" in result.stdout
    for name in ("axes", "tied", "pareto", "official"):
        assert len(read(tmp_path / "c", name)) and (tmp_path / "c" / "tables" / f"{name}.md").is_file()
    for name in ("scores", "trade_off"):
        assert (tmp_path / "c" / "figures" / f"{name}.png").stat().st_size > 5000
    assert not (tmp_path / "c" / "tables" / "tokens.csv").exists(), (
        "these files do not say how long answers are"
    )
    record = json.loads((tmp_path / "c/comparison.json").read_text())
    assert record["reference"] == "weak" and record["benchmarks"] == dict.fromkeys(NAMES, 40)
    assert all(run[0]["provenance"]["extractor"] for run in record["runs"].values())


def test_files_folders_and_labels_name_runs(imported: Path, tmp_path: Path) -> None:
    scores = imported / "MMStar/scores"
    result = compare(
        scores / "weak.csv", f"other={scores / 'Strong-7B.csv'}", "--out", tmp_path / "c", "--json"
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["reference"] == "weak"
    assert [row["variant"] for row in content["benchmarks"]] == ["weak", "other"]
    result = compare(imported / "MMStar", "--out", tmp_path / "d")
    assert result.exit_code == 0 and not (tmp_path / "d/tables/pareto.csv").exists()


def test_a_studys_runs_stand_beside_imported_ones(tmp_path: Path) -> None:
    whole = synthetic_study.config(benchmarks=["mini_color", "mini_total"])
    whole["variants"] = {name: whole["variants"][name] for name in ("vlm", "inject")}
    study = synthetic_study.make(tmp_path / "study", whole, n=60, n_dev=20)
    other = tmp_path / "elsewhere/scores"
    other.mkdir(parents=True)
    frame = pd.read_csv(study / "scores/inject.csv", dtype={"index": str}, keep_default_na=False)
    frame = frame[frame["benchmark"] == "mini_color"].assign(
        variant="x", correct=1.0, truncated="", tokens=""
    )
    answer_csv.write_csv(frame, other / "x.csv")
    result = compare(study, tmp_path / "elsewhere", "--reference", "vlm", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.output
    assert "Left out: mini_total, not answered by x." in result.stdout
    rows = read(tmp_path / "c", "benchmarks").set_index("variant")
    assert rows["benchmark"].unique().tolist() == ["mini_color"] and rows.loc["x", "score"] == 1
    style = read(tmp_path / "c", "style").set_index("variant")
    assert style.loc[["vlm", "inject"], "tokens_mean"].gt(0).all() and pd.isna(style.loc["x", "tokens_mean"])
    result = compare(*(study / f"scores/{name}.csv" for name in ("vlm", "inject")), "--out", tmp_path / "d")
    assert result.exit_code == 0, result.output
    result = compare(study, "--reference", "vlm", "--out", tmp_path / "e")
    assert result.exit_code == 0, result.output
    settings = study_of(whole)
    tables.build(study, settings, study / "tables")
    theirs, here = read(study, "axes"), read(tmp_path / "e", "axes")
    pairs = theirs.merge(here, on=["variant", "group"], suffixes=("", "_here"))
    assert set(pairs["group"]) == {"perception", "reasoning", "text"} and len(pairs) == 6
    assert len(read(tmp_path / "e", "tokens")) == 6 and (tmp_path / "e/figures/tokens.png").is_file()
    assert not (tmp_path / "c/tables/tokens.csv").exists(), "of one run no length is known"
    for column in ("n", "score", "difference", "gained", "lost", "p"):
        pd.testing.assert_series_equal(pairs[column], pairs[f"{column}_here"], check_names=False)


def test_runs_that_cannot_be_paired_are_refused_in_one_sentence(own: Path, tmp_path: Path) -> None:
    scores = own / "MMStar/scores"
    out = ("--out", tmp_path / "c")
    assert refused(compare(scores / "weak.csv", *out), "there is one run alone (weak)")
    assert refused(compare(own, "--reference", "week", *out), "no run is called 'week'")
    assert refused(compare(tmp_path, *out), "holds no scores/*.csv")
    assert refused(compare(scores / "none.csv", scores / "weak.csv", *out), "none.csv is missing")
    apart = (scores / "weak.csv", own / "MathVista_MINI/scores/Strong-7B.csv")
    assert refused(compare(*apart, *out), "no benchmark was answered by all runs")
    again = shutil.copytree(own / "MMStar", tmp_path / "again", symlinks=True)
    assert refused(compare(own, again, *out), "name the files as LABEL=FILE")

    frame = pd.read_csv(scores / "weak.csv", dtype=str, keep_default_na=False)
    answer_csv.write_csv(frame.assign(answer=["E", *frame["answer"][1:]]), scores / "weak.csv")
    assert refused(
        compare(own, *out), "question 0 of MMStar has different right answers in Strong-7B and weak"
    )
    answer_csv.write_csv(frame.assign(correct="2"), scores / "weak.csv")
    assert refused(compare(own, *out), "has a score of MMStar that is not in 0 to 1")
    answer_csv.write_csv(frame, scores / "weak.csv")
    provenance = scores / "weak.provenance.json"
    provenance.write_text(json.dumps(json.loads(provenance.read_text()) | {"extractor": 0}))
    assert refused(compare(own, *out), "were scored by different versions of extractor")
    assert not (tmp_path / "c").exists()


def test_only_common_questions_are_compared_and_their_number_is_shown(own: Path, tmp_path: Path) -> None:
    table = own.parent / "data/MMStar.tsv"
    tsvs.make("MMStar", own.parent / "data", 40)
    texts = {row["index"]: "The answer is A." for row in tsvs.read(table)[:25]}
    add(own, table, "part", texts, "--subset")
    runs = [own / f"MMStar/scores/{label}.csv" for label in ("weak", "part")]
    complaint = (
        "different questions of MMStar (weak 40, part 25; 25 are common): compare on these with --subset"
    )
    assert refused(compare(*runs, "--out", tmp_path / "c"), complaint)
    result = compare(*runs, "--subset", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.output
    assert "MMStar: 15 questions that not all runs answered are left out." in result.stdout
    rows = read(tmp_path / "c", "benchmarks")
    assert rows["n"].tolist() == [25, 25]
    first = read_run(runs[0])["correct"][:25]
    assert rows["score"].iloc[0] == pytest.approx(first.mean(), abs=1e-4)


def test_real_answers_of_published_models(tmp_path: Path) -> None:
    """MathVista's released outputs: the better model by the authors' judgement is the better one here."""
    real = find_shared("data/real_outputs")
    outputs = read_records("data/real_outputs/MathVista_MINI.outputs.jsonl")
    digest = hashlib.sha256((real / "MathVista_MINI.tsv").read_bytes()).hexdigest()
    benchmark = json.dumps({"name": "MathVista_MINI", "sha256": {"tsv": digest}})
    for model in ("bard", "minigpt4"):
        texts = {int(row["index"]): row["raw"] for row in outputs if row["model"] == model}
        file = write_plain(tmp_path / f"{model}.jsonl", texts)
        result = invoke(
            import_predictions.main, file, "--benchmark", benchmark, "--as", model, "--data", real, "--out",
            tmp_path / "out",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    result = compare(tmp_path / "out", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.output
    rows = read(tmp_path / "c", "benchmarks").set_index("variant")
    assert rows["n"].tolist() == [60, 60] and rows.loc["minigpt4", "difference"] < 0
    judged = [row["reference_correct"] for row in outputs if row["model"] == "bard"]
    assert abs(rows.loc["bard", "score"] - sum(judged) / 60) < 0.1
