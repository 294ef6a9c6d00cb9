"""`frism import`: files of every harness give the scores of the study that they could be, or are refused."""

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.answering import keys
from benchmarks.answering.predictions import read_predictions
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.scoring import answer_csv
from benchmarks.scoring.question_scores import score_with_judge
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.results import read_run
from benchmarks.tools.import_predictions import main
from frism.files import sha256_file
from tests.benchmarks.conftest import invoke, refused
from tests.support import tiny_vlms, tsvs
from tests.support.foreign_files import run_vlmevalkit, sample_of_lmms_eval, write_lines, write_plain

SAME = ["index", "axis", "group", "cluster", "answer", "raw", "extracted", "rule", "correct", "correct_raw",
        "repeated"]  # fmt: skip


class Table:
    """A benchmark's table made here, and a command that imports answers to it."""

    def __init__(self, name: str, folder: Path, n: int = 12) -> None:
        self.path = tsvs.make(name, folder / "data", n)
        self.benchmark = json.dumps(tsvs.pinned(self.path))
        self.rows, self.right = tsvs.read(self.path), tsvs.right_answers(self.path)
        self.out = folder / "out"

    @property
    def answers(self) -> dict[str, str]:
        """Two right answers of three, by index."""
        return {
            row["index"]: f"The answer is {right}." if i % 3 else "I cannot tell."
            for i, (row, right) in enumerate(zip(self.rows, self.right, strict=True))
        }

    def run(self, file: Path, label: str, *options: str):
        data = ("--data", self.path.parent, "--out", self.out)
        return invoke(main, file, "--benchmark", self.benchmark, "--as", label, *data, *options)

    def scores(self, label: str) -> pd.DataFrame:
        return read_run(self.out / self.path.stem / "scores" / f"{label}.csv")


@pytest.fixture
def stars(tmp_path: Path) -> Table:
    return Table("MMStar", tmp_path)


# --- VLMEvalKit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["xlsx", "tsv"])
@pytest.mark.parametrize("name", ["MMStar", "MathVista_MINI"])
def test_vlmevalkits_own_result_file_gives_the_studys_scores(name: str, form: str, tmp_path: Path) -> None:
    table = Table(name, tmp_path, 6)
    definition, family = find(json.loads(table.benchmark)), find_family("qwen2_5_vl")
    writing.write_items(
        tmp_path / "items", [definition], {"test": "all"}, data=table.path.parent, family=family
    )
    asked = reading.load_items(tmp_path / "items", "test", [name])
    model, processor = tiny_vlms.make("qwen2_5_vl")
    loop = VlmevalkitLoop(model, processor, EngineSettings(batch_size=4, max_new_tokens=6), family)
    file = run_vlmevalkit(loop, asked[name], tmp_path / "vlmeval", form)
    answered = {p.item.index: p for batch in loop.generate(asked[name]) for p in batch}
    study = score_with_judge("study", asked, {name: [answered[item.index] for item in asked[name]]})
    answer_csv.write_csv(study.table, tmp_path / "study.csv")
    result = table.run(file, "Model-7B.v1", "--json")
    assert result.exit_code == 0, result.output
    report, expected = json.loads(result.stdout), pd.read_csv(tmp_path / "study.csv", dtype=str)
    assert (report["n"], report["format"], report["reworded"]) == (len(table.rows), f"VLMEvalKit {form}", [])
    folder = table.out / name / "scores"
    found = pd.read_csv(folder / "Model-7B.v1.csv", dtype=str)
    pd.testing.assert_frame_equal(found[SAME], expected[SAME])
    assert found["raw"].nunique() > 3, "a model that always says the same proves nothing"
    assert found[["truncated", "tokens"]].isna().all(axis=None)
    assert json.loads((folder / "Model-7B.v1.official.json").read_text()) == study.official
    assert report["truncated"] is None and report["score"] == pytest.approx(study.table["correct"].mean())


def test_predictions_are_the_projects_own_and_name_their_source(stars: Table, tmp_path: Path) -> None:
    file = write_plain(tmp_path / "answers.jsonl", stars.answers)
    assert stars.run(file, "one").exit_code == 0
    path = stars.out / "MMStar/predictions/one.jsonl"
    lines = read_predictions(path)
    assert [line.raw for line in lines] == list(stars.answers.values())
    assert {(line.tokens, line.truncated, line.seconds) for line in lines} == {(None, None, None)}
    assert keys.recompute_keys(path) == {line.key: line.item for line in lines}
    origin = json.loads(path.with_suffix(".provenance.json").read_text())["origin"]["imported"]
    assert origin["sha256"] == sha256_file(file) and origin["format"] == "JSON lines"
    assert (origin["answered"], origin["questions"], origin["index_key"]) == (12, 12, "index")
    scored = json.loads((stars.out / "MMStar/scores/one.provenance.json").read_text())
    assert scored["predictions"] == sha256_file(path)


def test_a_workbook_keeps_texts_that_it_would_change(stars: Table, tmp_path: Path) -> None:
    odd = ["=1+1", "None", "", "{=B2}", "a\rb\x1b[0m", "_x0041_", "3", "http://a.b", "x" * 32_767,
           "Failed to obtain answer via API.", "B", "NA"]  # fmt: skip
    frame = pd.DataFrame({"index": [float(row["index"]) for row in stars.rows], "prediction": odd})
    frame.to_excel(tmp_path / "odd.xlsx", index=False, engine="xlsxwriter")
    result = stars.run(tmp_path / "odd.xlsx", "odd")
    assert result.exit_code == 0, result.output
    assert [line.raw for line in read_predictions(stars.out / "MMStar/predictions/odd.jsonl")] == odd
    assert "1 as long as a cell of a workbook can be, so probably cut" in result.stdout
    assert "1 empty, 1 that say 'Failed to obtain answer', which count as wrong" in result.stdout


# --- JSON lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.2", "0.3", "2026"])
def test_lmms_evals_samples_are_matched_by_question(version: str, tmp_path: Path) -> None:
    """doc_id counts from 0, the table's index from 1: taken for it, every answer would be another's."""
    table = Table("MathVista_MINI", tmp_path)
    docs = [
        {"pid": row["index"], "question": f"{row['question']} Row {row['index']}?", "answer": row["answer"]}
        for row in table.rows
    ]
    lines = table.path.read_text().splitlines()
    assert len(lines) > len(docs)
    frame = pd.read_csv(table.path, sep="\t", dtype=str, keep_default_na=False)
    frame["question"] = [doc["question"] for doc in docs]
    frame.to_csv(table.path, sep="\t", index=False)
    table.benchmark = json.dumps(tsvs.pinned(table.path))
    samples = [sample_of_lmms_eval(i, doc, table.answers[doc["pid"]], version) for i, doc in enumerate(docs)]
    plain = write_plain(tmp_path / "plain.jsonl", table.answers)
    file = write_lines(tmp_path / "20260430_214023_samples_mathvista_testmini.jsonl", samples[::-1])
    for path, label in ((plain, "plain"), (file, "lmms")):
        result = table.run(path, label, "--json")
        assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["index_key"] == ("pid" if version == "0.2" else "position")
    one, other = table.scores("plain"), table.scores("lmms")
    pd.testing.assert_series_equal(one["correct"], other["correct"])
    assert 0 < one["correct"].mean() < 1
    assert other["tokens"].isna().all() if version != "2026" else (other["tokens"] == 7).all()


def test_an_index_may_have_another_type_where_only_one_is_meant(stars: Table, tmp_path: Path) -> None:
    for kind in (int, float, str, lambda i: f" {i}.0 "):
        file = write_plain(tmp_path / "a.jsonl", {kind(i): text for i, text in stars.answers.items()})
        result = stars.run(file, "typed", "--overwrite")
        assert result.exit_code == 0, result.output
    frame = pd.read_csv(stars.path, sep="\t", dtype=str, keep_default_na=False)
    frame["index"] = ["1", "01", *(f"q{i}" for i in range(10))]
    frame.to_csv(stars.path, sep="\t", index=False)
    stars.benchmark, stars.out = json.dumps(tsvs.pinned(stars.path)), tmp_path / "other"
    texts = dict(zip(frame["index"], stars.answers.values(), strict=True))
    assert stars.run(write_plain(tmp_path / "b.jsonl", texts), "exact").exit_code == 0
    texts["1.0"] = texts.pop("1")
    result = stars.run(write_plain(tmp_path / "c.jsonl", texts), "unclear")
    assert refused(result, "the index 1.0 could be 01 or 1 of MMStar")


def test_known_lengths_and_cuts_are_kept_beside_unknown_ones(stars: Table, tmp_path: Path) -> None:
    rows = [{"index": i, "prediction": text} for i, text in stars.answers.items()]
    rows[0] |= {"tokens": 5, "truncated": True, "seconds": 0.5}
    rows[1] |= {"tokens": 7, "truncated": False}
    assert stars.run(write_lines(tmp_path / "a.jsonl", rows), "some").exit_code == 0
    found = pd.read_csv(stars.out / "MMStar/scores/some.csv", dtype=str)
    assert found["tokens"].tolist()[:2] == ["5", "7"] and found["tokens"].isna().sum() == 10
    assert found["truncated"].tolist()[:2] == ["True", "False"] and found["truncated"].isna().sum() == 10


# --- what is refused --------------------------------------------------------------------------------


def test_missing_surplus_and_double_are_named_in_one_sentence(stars: Table, tmp_path: Path) -> None:
    rows = [{"index": i, "prediction": text} for i, text in stars.answers.items()]
    file = write_lines(tmp_path / "a.jsonl", [*rows[3:], rows[5], {"index": 99, "prediction": "A"}])
    assert refused(
        stars.run(file, "x"),
        "answers 9 of 12 questions of MMStar: 3 missing (0, 1, 2), 1 surplus (99), 1 double (5);",
    )
    assert refused(stars.run(file, "x", "--subset"), "1 double (5); keep one answer to each")
    assert not list(stars.out.rglob("x.*")), "something is left of a refused import"


def test_a_subset_is_scored_on_its_own_questions_and_says_how_many(stars: Table, tmp_path: Path) -> None:
    texts = dict(list(stars.answers.items())[3:])
    file = write_plain(tmp_path / "a.jsonl", {**texts, "99": "A"})
    whole = write_plain(tmp_path / "whole.jsonl", stars.answers)
    assert stars.run(whole, "whole").exit_code == 0
    result = stars.run(file, "part", "--subset")
    assert result.exit_code == 0, result.output
    assert "part: 9 of 12 questions of MMStar" in result.stdout
    assert "1 answers to other questions left out" in result.stdout
    part, full = stars.scores("part"), stars.scores("whole").set_index("index", drop=False)
    assert part["index"].tolist() == list(texts)
    assert part["correct"].tolist() == full.loc[list(texts), "correct"].tolist()
    items = reading.load_items(stars.out / "MMStar/items_of/part", "test", ["MMStar"])["MMStar"]
    assert len(items) == 9 and items[0].pictures()


def test_pickles_are_refused_unread(stars: Table, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "went_off",)

    for name in ("result.pkl", "result.xlsx"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        assert refused(stars.run(tmp_path / name, "x"), "is a pickle, which may run any code")
    assert not (tmp_path / "went_off").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is no file of predictions that is known here: give VLMEvalKit's xlsx or tsv"),
        ("index\tscore\n1\t0.5\n", "is no file of predictions"),
        ("id\tprediction\n1\tA\n", "has no column 'index' (there are: id, prediction)"),
        ('{"index": 1}\n', "line 1 has no field 'prediction'"),
        ('{"index": 1, "prediction": 3}\n', "line 1: the prediction is no text but 3"),
        ('{"index": 1, "prediction": "A"}\n{"index"', "line 2 is no JSON"),
        ("index\tprediction\n", "holds no answers"),
        ("index\tprediction\nx\tA\n", "answers no question of MMStar: its indices are x, the benchmark's"),
        (
            '{"doc_id": 0, "resps": [[["-1.5", "False"]], [["-2.0", "True"]]], "filtered_resps": []}',
            "log-likelihoods of options",
        ),
        ("PK\x03\x04 and no more", "is no readable workbook"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_sentence(content, complaint, stars: Table, tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    file.write_text(content)
    assert refused(stars.run(file, "x"), complaint)


def test_answers_to_other_questions_are_found_out(stars: Table, tmp_path: Path) -> None:
    rows = [
        {"index": i, "prediction": text, "question": "What is on the second picture?"}
        for i, text in stars.answers.items()
    ]
    assert refused(
        stars.run(write_lines(tmp_path / "a.jsonl", rows), "x"), "asks other questions than MMStar"
    )
    for row, own in zip(rows[1:], stars.rows[1:], strict=True):
        row["question"] = own["question"]
    result = stars.run(write_lines(tmp_path / "b.jsonl", rows), "x")
    assert "1 questions are worded otherwise in the file, such as 0" in result.stdout


def test_labels_hold_one_file_and_folders_one_table(stars: Table, tmp_path: Path) -> None:
    first = write_plain(tmp_path / "a.jsonl", stars.answers)
    second = write_plain(tmp_path / "b.jsonl", dict.fromkeys(stars.answers, "A"))
    assert stars.run(first, "x").exit_code == 0 and stars.run(first, "x").exit_code == 0
    assert refused(stars.run(second, "x"), "holds the answers of another file")
    assert stars.run(second, "x", "--overwrite").exit_code == 0
    assert refused(stars.run(first, "a/b"), "becomes a file's name")
    stars.benchmark = json.dumps({"name": "MMStar", "sha256": {"tsv": "0" * 64}})
    assert refused(invoke(main, first, "--benchmark", stars.benchmark, "--as", "z", "--out", stars.out),
                   "holds the questions of another MMStar")  # fmt: skip
    assert invoke(main, first, "--benchmark", "MMStar", "--as", "z", "--out", stars.out).exit_code == 0
    again = Table("MMStar", tmp_path / "again", 20)
    again.out = stars.out
    file = write_plain(tmp_path / "c.jsonl", again.answers)
    assert refused(again.run(file, "y"), "holds the questions of another MMStar")


def test_a_studys_questions_are_meant_with_items(items_folder: Path, tmp_path: Path) -> None:
    asked = reading.load_items(items_folder, "test", ["mini_total"])["mini_total"]
    file = write_plain(tmp_path / "a.jsonl", {item.index: item.answer for item in asked})
    options = ("--benchmark", "mini_total", "--as", "x", "--out", tmp_path / "out")
    assert refused(
        invoke(main, file, *options), "is made for a study: name the study's questions with --items"
    )
    result = invoke(main, file, *options, "--items", items_folder)
    assert result.exit_code == 0, result.output
    assert read_run(tmp_path / "out/mini_total/scores/x.csv")["correct"].mean() == 1
