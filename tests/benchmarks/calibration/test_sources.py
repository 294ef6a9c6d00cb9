"""Calibration questions from a folder and from VizWiz-VQA: lazy, drawn by a seed, one sentence a fault."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from benchmarks.calibration import parquet, pictures
from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.calibration.load import load_calibration
from benchmarks.study.calibration_settings import CalibrationSettings
from frism import cache as file_cache
from frism.errors import UserError
from tests.support import calibration_folders

REQUEST = CalibrationSettings.model_fields["request"].default
PROMPT = CalibrationSettings.model_fields["prompt"].default


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def vizwiz(folder: Path, n: int = 4, seed: int = 0, **more: Any) -> CalibrationSet:
    return load_calibration(
        CalibrationSettings(source="vizwiz", folder=str(folder), questions=n, **more), seed
    )


def pictured(folder: Path, n: int = 3, seed: int = 0, **more: Any) -> CalibrationSet:
    return load_calibration(
        CalibrationSettings(source="folder", folder=str(folder), questions=n, **more), seed
    )


def album(folder: Path, n: int = 3) -> Path:
    for i in range(n):
        calibration_folders.picture(folder / f"{i}.png", seed=i)
    return folder


def test_vizwiz_in_the_authors_form(tmp_path: Path) -> None:
    data = vizwiz(calibration_folders.official(tmp_path / "v"), n=6)
    assert len(data) == len(data.questions) == 6
    asked = {text for _, text in data.questions}
    assert asked == {f"What is number {i}?\n{REQUEST}" for i in range(6)}
    for picture, text in data.questions:
        number = int(text.split("?")[0].split()[-1])
        file = tmp_path / "v/train" / f"VizWiz_train_{number:08}.jpg"
        assert picture.tobytes() == Image.open(file).convert("RGB").tobytes()
    assert "6 unlabelled questions of VizWiz-VQA (train)" in data.description
    bare = vizwiz(tmp_path / "v", request="")
    assert bare.questions[0][1] == data.questions[0][1].removesuffix(f"\n{REQUEST}")
    assert bare.digest != vizwiz(tmp_path / "v").digest


def test_another_split_and_other_places(tmp_path: Path) -> None:
    folder = calibration_folders.official(tmp_path / "v", split="val")
    (folder / "Annotations/val.json").rename(folder / "val.json")
    (folder / "images").mkdir()
    (folder / "val").rename(folder / "images/val")
    assert len(vizwiz(folder, split="val")) == 4
    with pytest.raises(UserError, match=r"neither train.json nor train-\*.parquet"):
        vizwiz(folder)


@pytest.mark.parametrize("named", [True, False])
def test_vizwiz_in_the_hubs_form(tmp_path: Path, cache: Path, named: bool) -> None:
    mirror = calibration_folders.official(tmp_path / "v")
    calibration_folders.shards(mirror, tmp_path / "hub", named=named)
    ours, theirs = vizwiz(mirror, n=5), vizwiz(tmp_path / "hub", n=5)
    if named:  # the same pictures under the same names: the same draw
        assert ours.digest == theirs.digest
        assert [t for _, t in ours.questions] == [t for _, t in theirs.questions]
    every = vizwiz(tmp_path / "hub", n=6)
    shown = {text: picture.tobytes() for picture, text in every.questions}
    assert shown == {text: picture.tobytes() for picture, text in vizwiz(mirror, n=6).questions}
    assert all(file.is_relative_to(cache) for file in every.questions.files)


def test_pictures_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration_folders.shards(calibration_folders.official(tmp_path / "v"), tmp_path / "hub")
    first = vizwiz(tmp_path / "hub")
    monkeypatch.setattr(parquet, "_pictures", None)  # a second pass would fail
    assert vizwiz(tmp_path / "hub").digest == first.digest


def test_an_unpacking_cut_short_is_done_again(tmp_path: Path, cache: Path) -> None:
    calibration_folders.shards(calibration_folders.official(tmp_path / "v"), tmp_path / "hub")
    first = vizwiz(tmp_path / "hub")
    next(cache.rglob("complete")).unlink()
    lost = first.questions.files[0]
    lost.unlink()
    assert vizwiz(tmp_path / "hub").digest == first.digest
    assert lost.exists()


def test_a_data_set_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "hub/datasets--lab--vizwiz"
    calibration_folders.shards(calibration_folders.official(tmp_path / "v"), root / "snapshots/abc")
    (root / "refs").mkdir()
    (root / "refs/main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    data = load_calibration(CalibrationSettings(source="vizwiz", dataset="lab/vizwiz", questions=4), 0)
    assert data.digest == vizwiz(root / "snapshots/abc").digest
    for name in ("lab/other", "lab/vizwiz/more"):
        with pytest.raises(UserError, match=f"{name} is not in the hub's cache.*hf download"):
            load_calibration(CalibrationSettings(source="vizwiz", dataset=name, questions=4), 0)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_a_folder_with_a_table_of_questions(tmp_path: Path, suffix: str) -> None:
    rows = [{"image": f"sub/{i}.png", "question": q} for i, q in enumerate(["Größe?", "", 'A, "b"\nc?'])]
    album(tmp_path / "sub")
    text = {
        "csv": 'image,question,answer\nsub/0.png,Größe?,7\nsub/1.png,,"x, y"\nsub/2.png,"A, ""b""\nc?",\n',
        "jsonl": "\n".join(json.dumps(row) for row in rows) + "\n",
        "json": json.dumps(rows),
    }[suffix]
    (tmp_path / f"questions.{suffix}").write_text(text, encoding="utf-8")
    data = pictured(tmp_path)
    assert {text for _, text in data.questions} == {f"Größe?\n{REQUEST}", PROMPT, f'A, "b"\nc?\n{REQUEST}'}
    (tmp_path / f"questions.{suffix}").rename(tmp_path / f"other.{suffix}")
    assert pictured(tmp_path, table=f"other.{suffix}").digest == data.digest


def test_a_folder_without_questions_is_described(tmp_path: Path) -> None:
    calibration_folders.picture(album(tmp_path) / "deep/er/x.JPG")
    calibration_folders.picture(tmp_path / ".thumbnails/0.png")
    (tmp_path / "notes.txt").write_text("none")
    data = pictured(tmp_path, n=4, prompt="What is to be seen?")
    assert {text for _, text in data.questions} == {"What is to be seen?"}
    assert {f.name for f in data.questions.files} == {"0.png", "1.png", "2.png", "x.JPG"}


def test_the_draw_follows_the_seed_and_nothing_else(tmp_path: Path) -> None:
    folder = calibration_folders.official(tmp_path / "v", n=40)
    few, more = (vizwiz(folder, n=n, seed=1).questions for n in (5, 20))
    assert list(more.texts[:5]) == list(few.texts)
    assert list(vizwiz(folder, n=5, seed=2).questions.texts) != list(few.texts)
    table = folder / "Annotations/train.json"
    table.write_text(json.dumps(json.loads(table.read_text())[::-1]))
    assert list(vizwiz(folder, n=5, seed=1).questions.texts) == list(few.texts)


def test_pictures_are_opened_when_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = vizwiz(calibration_folders.official(tmp_path / "v"), n=6).questions
    read: list[Path] = []
    whole = pictures.open_picture
    monkeypatch.setattr(pictures, "open_picture", lambda path, limit: read.append(path) or whole(path, limit))
    part = questions[1:3]
    assert (len(part), read) == (2, [])
    assert part[0][0].size == (60, 40)
    assert read == [questions.files[1]]
    assert [text for _, text in questions[::-1]] == list(questions.texts)[::-1]
    with pytest.raises(IndexError):
        questions[6]


def test_the_digest_is_of_bytes_and_words(tmp_path: Path) -> None:
    folder = calibration_folders.official(tmp_path / "v")
    before = vizwiz(folder)
    assert vizwiz(calibration_folders.official(tmp_path / "elsewhere")).digest == before.digest
    assert vizwiz(folder, max_pixels=1024).digest != before.digest
    calibration_folders.picture(before.questions.files[0], seed=99)
    assert vizwiz(folder).digest != before.digest


def test_untouched_pictures_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "SETTLE_SECONDS", -1.0)
    read: list[Path] = []
    check = pictures.check_picture
    monkeypatch.setattr(pictures, "check_picture", lambda path: read.append(path) or check(path))
    folder = calibration_folders.official(tmp_path / "v")
    assert vizwiz(folder).digest == vizwiz(folder).digest
    assert len(read) == 4
    calibration_folders.picture(vizwiz(folder).questions.files[0], seed=99)
    vizwiz(folder)
    assert len(read) == 8


FAULTS = {
    "no folder": (lambda f: None, {"folder": "nowhere"}, "calibration.folder .*nowhere is not a folder"),
    "an empty folder": (lambda f: [p.unlink() for p in f.iterdir()], {}, "holds no picture"),
    "too few": (lambda f: None, {"questions": 9}, "has 3 calibration questions, and 9 are asked for"),
    "no picture": (lambda f: (f / "1.png").write_text("x"), {}, r"1\.png \(no picture that can be read\)"),
    "a picture cut short": (
        lambda f: (f / "2.png").write_bytes((f / "2.png").read_bytes()[:60]),
        {},
        r"cannot read the calibration picture .*2\.png",
    ),
    "no column of pictures": (
        lambda f: (f / "questions.csv").write_text("picture,question\n0.png,Who?\n"),
        {},
        r"questions\.csv has no column 'image'",
    ),
    "no picture in an entry": (
        lambda f: (f / "questions.jsonl").write_text('{"image": "0.png"}\n{"question": "Who?"}\n'),
        {},
        r"questions\.jsonl has no 'image' in entry 2",
    ),
    "a question that is none": (
        lambda f: (f / "questions.json").write_text('[{"image": "0.png", "question": ["Who?"]}]'),
        {},
        r"questions\.json: 'question' of entry 1 must be a text",
    ),
    "absent pictures": (
        lambda f: (f / "questions.csv").write_text("image,question\n7.png,a\n0.png,b\n8.png,c\n"),
        {},
        r"questions\.csv names the picture [78]\.png \(and 1 more\), which is not in",
    ),
    "broken JSON": (lambda f: (f / "questions.json").write_text("[{"), {}, "is no readable json file"),
    "JSON that is no list": (lambda f: (f / "questions.json").write_text("{}"), {}, "holds no list"),
    "an empty table": (lambda f: (f / "questions.json").write_text("[]"), {}, "holds no question"),
    "an empty CSV": (lambda f: (f / "questions.csv").touch(), {}, "is no readable csv file"),
    "two tables": (
        lambda f: [(f / f"questions.{s}").write_text("x") for s in ("csv", "json")],
        {},
        "holds both questions.csv and questions.json",
    ),
    "an absent table": (lambda f: None, {"table": "q.csv"}, "q.csv is missing, which calibration.table"),
    "a table of another kind": (lambda f: None, {"table": "0.png"}, "is no table of questions"),
    "no UTF-8": (
        lambda f: (f / "questions.csv").write_bytes(b"image,question\n0.png,Gr\xf6\xdfe?\n"),
        {},
        "'question' of entry 1 is not UTF-8",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, changes, words = FAULTS[fault]
    spoil(album(tmp_path / "album"))
    settings = {"source": "folder", "folder": str(tmp_path / "album"), "questions": 3} | changes
    with pytest.raises(UserError, match=words) as caught:
        load_calibration(CalibrationSettings(**settings), 0)
    assert "\n" not in str(caught.value)


def test_faults_of_parquet_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a").mkdir()
    (tmp_path / "a/train-0.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(UserError, match=r"cannot read .*train-0\.parquet"):
        vizwiz(tmp_path / "a")
    pq.write_table(pa.table({"question": ["Who?"], "picture": [b""]}), tmp_path / "a/train-0.parquet")
    with pytest.raises(UserError, match=r"has no column 'image\.bytes'"):
        vizwiz(tmp_path / "a")
    image = pa.array([{"bytes": None}], pa.struct({"bytes": pa.binary()}))
    pq.write_table(pa.table({"question": ["Who?"], "image": image}), tmp_path / "a/train-0.parquet")
    with pytest.raises(UserError, match=r"has no picture in row 0"):
        vizwiz(tmp_path / "a", n=1)


def test_a_cache_that_cannot_be_written(tmp_path: Path, cache: Path) -> None:
    calibration_folders.shards(calibration_folders.official(tmp_path / "v"), tmp_path / "hub")
    cache.touch()
    with pytest.raises(UserError, match=r"cannot write .*a part of that path is a file"):
        vizwiz(tmp_path / "hub")


SETTINGS = {
    "of another source": ({"folder": "x"}, "folder is a setting of vizwiz and folder, not of miniature"),
    "split of a folder": (
        {"source": "folder", "folder": "x", "split": "val"},
        "split is a setting of vizwiz, not of folder",
    ),
    "no folder": ({"source": "folder"}, "source folder needs the folder"),
    "nothing of VizWiz": ({"source": "vizwiz"}, "needs the folder of a mirror"),
    "both of VizWiz": ({"source": "vizwiz", "folder": "x", "dataset": "a/b"}, "one of the two"),
    "no question": ({"questions": 0}, "greater than or equal to 1"),
    "unknown": ({"source": "hub"}, "'miniature', 'vizwiz' or 'folder'"),
}


@pytest.mark.parametrize("fault", SETTINGS)
def test_settings_that_do_not_go_together(fault: str) -> None:
    given, words = SETTINGS[fault]
    with pytest.raises(ValidationError, match=words):
        CalibrationSettings(**given)


def test_a_plan_imports_neither_torch_nor_pillow() -> None:
    code = "import sys, benchmarks.calibration.load; print({'torch', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
