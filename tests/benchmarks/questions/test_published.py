"""Published benchmarks as items: messages and pictures are those of VLMEvalKit's own classes."""

import base64
import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.prompting.families import find_family
from benchmarks.questions import reading, writing
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.registry.lookup import find
from benchmarks.stages import items
from benchmarks.vlmevalkit import loading
from benchmarks.vlmevalkit.loading import replace_attributes
from benchmarks.vlmevalkit.loading import set_environment as environment
from frism.errors import UserError
from tests.benchmarks.conftest import invoke, refused
from tests.support import tsvs
from tests.support.studies import record

NAMES = sorted(tsvs.MAKERS)


def stock(name: str, root: Path):
    """VLMEvalKit's dataset object on a TSV, as it reads it by itself (but for the checksum)."""
    found = loading.load_dataset_class(find(name).dataset_class)
    with environment(LMUData=str(root)), replace_attributes(found, DATASET_MD5={}, DATASET_URL={}):
        return found(dataset=name)


def shown(message, folder: Path) -> list:
    """A message with its pictures' pixels in place of their paths."""
    parts = []
    for part in message:
        if part["type"] == "image":
            with Image.open(folder / part["value"]) as image:
                part = {"type": "image", "value": (image.size, image.convert("RGB").tobytes())}
        parts.append(part)
    return parts


def written(tmp_path: Path, name: str, n: int = 8, splits=None, **fields):
    """Items of a locally made TSV: the data folder, the items folder, the manifest and the definition."""
    path = tsvs.make(name, tmp_path / "data", n)
    definition = find(tsvs.pinned(path, **fields))
    manifest = writing.write_items(
        tmp_path / "items", [definition], splits or {"test": "all"}, data=path.parent
    )
    return path, tmp_path / "items", manifest, definition


@pytest.mark.parametrize("name", NAMES)
def test_messages_are_vlmevalkits_own(tmp_path: Path, name: str) -> None:
    path, folder, _, definition = written(tmp_path, name)
    found = reading.load_items(folder, "test", [name])[name]
    dataset = stock(name, shutil.copytree(path.parent, tmp_path / "stock"))
    expected = [dataset.build_prompt(dataset.data.iloc[i]) for i in range(len(dataset.data))]
    assert [shown(item.message, folder) for item in found] == [shown(m, tmp_path) for m in expected]
    assert [item.index for item in found] == [row["index"] for row in tsvs.read(path)]
    assert [item.answer for item in found] == [row["answer"] for row in tsvs.read(path)]
    # And they can be built again from what the items folder holds.
    again = loading.build_dataset(definition, folder / "test")
    messages = [again.build_prompt(again.data.iloc[i]) for i in range(len(again.data))]
    assert [shown(m, folder) for m in messages] == [shown(m, tmp_path) for m in expected]


def test_the_table_beside_the_items_has_everything_but_pictures(tmp_path: Path) -> None:
    path, folder, manifest, _ = written(tmp_path, "MME")
    original, table = tsvs.read(path), tsvs.read(folder / "test" / "MME.tsv")
    assert [{k: row[k] for k in row if k != "image"} for row in original] == table
    assert (folder / "test" / "MME.tsv").stat().st_size < path.stat().st_size / 2
    assert manifest["tsv"]["MME"]["sha256"] == find(tsvs.pinned(path)).sha256["tsv"]


def test_splits_share_no_cluster_and_no_picture(tmp_path: Path) -> None:
    _, folder, manifest, _ = written(tmp_path, "POPE", 36, {"dev": 8, "test": "all"})
    dev, test = (reading.load_items(folder, split, ["POPE"])["POPE"] for split in ("dev", "test"))
    assert manifest["questions"] == {"POPE": {"dev": 12, "test": 24}} and manifest["shared"] == {}
    assert not {i.cluster for i in dev} & {i.cluster for i in test}
    assert not {i.images for i in dev} & {i.images for i in test}
    assert len({i.cluster for i in test}) == 4


def test_benchmarks_that_differ_in_the_prompt_are_cut_alike(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = tsvs.make("MathVerse_MINI_Vision_Only", data, 12)
    path.rename(data / "MathVerse_MINIVOnly.tsv")
    pins = [tsvs.pinned(data / "MathVerse_MINIVOnly.tsv") | {"name": path.stem + end} for end in ("", "_cot")]
    manifest = writing.write_items(
        tmp_path / "items", [find(p) for p in pins], {"dev": 5, "test": "all"}, data=data
    )
    assert manifest["shared"] == {}
    short, long = reading.load_items(tmp_path / "items", "test", [p["name"] for p in pins]).values()
    assert [i.index for i in short] == [i.index for i in long]
    assert [i.message for i in short] != [i.message for i in long]


def test_pictures_that_two_benchmarks_share_across_splits_are_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    one = tsvs.make("MMStar", data, 10)
    shutil.copy(one, data / "Mine.tsv")
    own = find(tsvs.pinned(data / "Mine.tsv", axis="other", **{"class": "ImageMCQDataset"}))
    manifest = writing.write_items(
        tmp_path / "items", [find(tsvs.pinned(one)), own], {"dev": 4, "test": "all"}, data=data
    )
    assert manifest["shared"] == {"Mine": {"MMStar": 4}}


def test_options_called_none_are_asked(tmp_path: Path) -> None:
    path = tsvs.make("MMStar", tmp_path, 4, odd_options=True)
    definition = find(tsvs.pinned(path))
    writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path)
    texts = [
        i.message[-1]["value"] for i in reading.load_items(tmp_path / "items", "test", ["MMStar"])["MMStar"]
    ]
    assert [sum(f". {word}\n" in text for text in texts) for word in ("None", "NA", "null")] == [1, 1, 1]
    again = loading.build_dataset(definition, tmp_path / "items" / "test")
    assert [again.build_prompt(again.data.iloc[i])[-1]["value"] for i in range(4)] == texts


def test_a_table_that_names_its_pictures_by_path(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Image.new("RGB", (30, 40), "red").save(data.mkdir() or data / "one.png")
    (data / "images" / "MMStar").mkdir(parents=True)
    Image.new("RGB", (40, 30), "blue").save(data / "images" / "MMStar" / "two.png")
    rows = [["index", "question", "A", "B", "answer", "image_path"], [1, "?", "x", "y", "A", "one.png"],
            [2, "?", "x", "y", "B", "['one.png', 'two.png']"]]  # fmt: skip
    with (data / "MMStar.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)
    definition = find(tsvs.pinned(data / "MMStar.tsv"))
    folder = tmp_path / "items"
    writing.write_items(folder, [definition], {"test": "all"}, data=data)
    shutil.rmtree(data)
    found = reading.load_items(folder, "test", ["MMStar"])["MMStar"]
    assert [[p.size for p in item.pictures()] for item in found] == [[(30, 40)], [(30, 40), (40, 30)]]
    again = loading.build_dataset(definition, folder / "test")
    assert [p["value"] for p in again.build_prompt(again.data.iloc[1])[:2]] == [
        str(folder / part["value"]) for part in found[1].message[:2]
    ]


def test_pictures_inside_the_message_become_files(tmp_path: Path) -> None:
    """VTCBench's prompts hold its pictures as data addresses."""
    pictures = [tsvs.picture(random.Random(i), "JPEG") for i in range(2)]
    rows = [
        ["index", "question", "answer", "category", "image"],
        [1, "?", '["a"]', "Retrieval", str(pictures)],
    ]
    with (tmp_path / "VTCBench.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)
    definition = find(tsvs.pinned(tmp_path / "VTCBench.tsv", axis="perception"))
    writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path)
    (found,) = reading.load_items(tmp_path / "items", "test", ["VTCBench"])["VTCBench"]
    files = [(tmp_path / "items" / p["value"]).read_bytes() for p in found.message if p["type"] == "image"]
    assert files == [base64.b64decode(picture) for picture in pictures]


def test_faults_in_a_table_are_named(tmp_path: Path) -> None:
    for cell, complaint in (
        (base64.b64encode(b"no picture" * 20).decode(), r"POPE\.tsv: the picture for .* is broken"),
        ("7", "has the pictures of '7', which has none"),
    ):
        path = tmp_path / "POPE.tsv"
        path.write_text(f"index\tquestion\tcategory\tanswer\timage\n1\t?\trandom\tYes\t{cell}\n")
        with pytest.raises(UserError, match=complaint):
            writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)
        with pytest.raises(UserError, match="no finished items"):
            reading.load_items(tmp_path / "items", "test", ["POPE"])
    path.write_text("index\tquestion\tcategory\tanswer\timage_path\n1\t?\trandom\tYes\tlost.jpg\n")
    with pytest.raises(UserError, match=r"lost\.jpg is missing, which .*POPE\.tsv names"):
        writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)


def test_a_changed_file_stops_before_anything_is_asked(tmp_path: Path) -> None:
    path, folder, _, definition = written(tmp_path, "POPE")
    path.write_bytes(path.read_bytes().replace(b"Is there", b"Was there"))
    with pytest.raises(UserError, match=r"POPE\.tsv has sha256 .* as benchmark POPE says"):
        writing.write_items(folder, [definition], {"test": "all"}, data=path.parent)


def test_benchmarks_without_questions_here(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gsm8k has no pictures: name it under `text`"):
        writing.write_items(tmp_path / "items", [find("gsm8k")], {"test": "all"})
    with pytest.raises(UserError, match=r"mini_add is generated on the fly: set questions\.test to a number"):
        writing.write_items(tmp_path / "items", [find("mini_add")], {"test": "all"})
    path = tsvs.make("MMStar", tmp_path, 3)
    other = find(tsvs.pinned(path)).model_copy(update={"name": "again"})
    with pytest.raises(UserError, match=r"benchmarks MMStar and again are both on MMStar\.tsv"):
        writing.write_items(
            tmp_path / "items", [find(tsvs.pinned(path)), other], {"test": "all"}, data=tmp_path
        )


def test_the_models_family_writes_the_prompts(tmp_path: Path) -> None:
    """Qwen2-VL has prompts of its own for multiple choice; the miniature's family has none."""
    path = tsvs.make("MMStar", tmp_path, 4)
    definition = find(tsvs.pinned(path, max_new_tokens=7))
    texts = {}
    for name, own in (
        ("plain", None),
        ("qwen2_vl", find_family("qwen2_vl")),
        ("qwen2_5_vl", find_family("qwen2_5_vl")),
    ):
        manifest = writing.write_items(
            tmp_path / name, [definition], {"test": "all"}, data=tmp_path, family=own
        )
        assert manifest["family"] == (own.fingerprint() if own else None)
        found = reading.load_items(tmp_path / name, "test", ["MMStar"])["MMStar"]
        assert {item.max_new_tokens for item in found} == {7}
        texts[name] = [[p["value"] for p in item.message if p["type"] == "text"] for item in found]
    assert texts["plain"] == texts["qwen2_5_vl"] != texts["qwen2_vl"]


def test_two_processes_make_one_folder(tmp_path: Path) -> None:
    path = tsvs.make("POPE", tmp_path, 36)
    settings = {"benchmarks": [tsvs.pinned(path)], "data": {"folder": str(tmp_path)}}
    study = record(tmp_path, settings | {"questions": {"dev": 6, "test": "all"}})
    command = [sys.executable, "-m", "benchmarks.stages.items", "--study", str(study)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    found = reading.load_items(tmp_path / "items", "test", ["POPE"])["POPE"]
    assert len(found) == 30 and all(item.pictures() for item in found)
    resolved = json.loads((tmp_path / "items" / "benchmarks.json").read_text())
    assert find(resolved["POPE"]) == find(tsvs.pinned(path))


def test_command_line_faults(tmp_path: Path) -> None:
    path = tsvs.make("POPE", tmp_path, 6)
    for folder, complaint in (
        (None, "needs POPE.tsv: name the folder"),
        (str(tmp_path / "x"), "POPE.tsv is missing"),
    ):
        study = record(tmp_path, {"benchmarks": [tsvs.pinned(path)], "data": {"folder": folder}})
        assert refused(invoke(items.main, "--study", study), complaint), complaint


@pytest.mark.parametrize(
    ("column", "complaint"),
    [("answer", "has an empty gold answer"), ("question", "has an empty question")],
)
@pytest.mark.parametrize("cell", ["", "  "])
def test_an_empty_question_or_answer_is_named_before_anything_is_asked(
    tmp_path: Path, column: str, complaint: str, cell: str
) -> None:
    path = tsvs.make("LogicVista", tmp_path, 4)
    rows = tsvs.read(path)
    rows[2][column] = cell
    write_rows(path, rows)
    where = (
        rf"LogicVista\.tsv: question {rows[2]['index']} \(row 3\) {complaint}: fill it in, or delete the row"
    )
    with pytest.raises(UserError, match=where):
        writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)
    write_rows(path, [row for row in rows if row is not rows[2]])
    writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)
    assert len(reading.load_items(tmp_path / "items", "test", ["LogicVista"])["LogicVista"]) == 3


def test_a_question_that_the_prompt_does_not_show_may_be_empty(tmp_path: Path) -> None:
    path = tsvs.make("MathVerse_MINI_Vision_Only", tmp_path, 2)
    path.rename(tmp_path / "MathVerse_MINIVOnly.tsv")
    rows = tsvs.read(tmp_path / "MathVerse_MINIVOnly.tsv")
    write_rows(tmp_path / "MathVerse_MINIVOnly.tsv", [row | {"question": ""} for row in rows])
    pins = [
        tsvs.pinned(tmp_path / "MathVerse_MINIVOnly.tsv") | {"name": path.stem + end} for end in ("_cot", "")
    ]
    writing.write_items(tmp_path / "items", [find(pins[0])], {"test": "all"}, data=tmp_path)
    (first, _) = reading.load_items(tmp_path / "items", "test", [pins[0]["name"]])[pins[0]["name"]]
    assert first.message[-1]["value"].startswith("Please first conduct reasoning")
    with pytest.raises(UserError, match="has an empty question"):
        writing.write_items(tmp_path / "items", [find(pins[1])], {"test": "all"}, data=tmp_path)


@pytest.mark.parametrize("number", [0, 2, 12])
@pytest.mark.parametrize("column", ["question", "B"])
def test_a_mark_without_a_picture_is_one_sentence(tmp_path: Path, column: str, number: int) -> None:
    path = tsvs.make("MMMU_DEV_VAL", tmp_path, 4)
    rows = tsvs.read(path)[:2]
    rows[1] |= {"image": tsvs.picture(random.Random(1)), "question": "<image 1> What is it?"}
    rows[1][column] = f"What of <image {number}>?"
    write_rows(path, rows)
    where = rf"MMMU_DEV_VAL\.tsv: question {rows[1]['index']} \(row 2\)"
    complaint = rf"{where} names <image {number}>, but has 1 picture: add the picture"
    with pytest.raises(UserError, match=complaint):
        writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)


def test_numeric_options_are_asked_as_they_are_written(tmp_path: Path) -> None:
    """Where one question has fewer options, pandas would make fractions of the others' numbers."""
    path = tsvs.make("MMStar", tmp_path, 3)
    rows = [row | {"A": "3", "B": "4", "C": "5", "D": "6", "answer": "D"} for row in tsvs.read(path)]
    write_rows(path, [rows[0], rows[1] | {"C": "", "D": "", "answer": "A"}, rows[2]])
    definition = find(tsvs.pinned(path))
    writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path)
    found = reading.load_items(tmp_path / "items", "test", ["MMStar"])["MMStar"]
    assert "D. 6\n" in found[0].message[-1]["value"] and "D." not in found[1].message[-1]["value"]
    again = loading.build_dataset(definition, tmp_path / "items" / "test")
    assert again.build_prompt(again.data.iloc[0])[-1]["value"] == found[0].message[-1]["value"]


def test_a_corrupt_picture_ends_the_items_unless_it_is_to_be_counted(tmp_path: Path) -> None:
    whole = base64.b64decode(tsvs.picture(random.Random(1)))
    for content in (whole[: len(whole) // 2], b"no picture" * 20):
        path = tsvs.make("MMStar", tmp_path, 3)
        rows = tsvs.read(path)
        rows[1]["image"] = base64.b64encode(content).decode()
        write_rows(path, rows)
        definition = find(tsvs.pinned(path))
        with pytest.raises(UserError, match=r"MMStar\.tsv: the picture for .* is broken .*engine\.failures"):
            writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path)
        writing.write_items(tmp_path / "items", [definition], {"test": "all"}, data=tmp_path, tolerant=True)
        first, second, _ = reading.load_items(tmp_path / "items", "test", ["MMStar"])["MMStar"]
        assert len(first.pictures()) == 1
        with pytest.raises(UnanswerableError, match=rf"question {second.index} of MMStar, cannot be decoded"):
            second.pictures()
    (tmp_path / "lost.png").write_bytes(whole[: len(whole) // 2])
    path.write_text("index\tquestion\tA\tB\tanswer\timage_path\n1\t?\tx\ty\tA\tlost.png\n")
    with pytest.raises(UserError, match=r"lost\.png: a picture of question 1 of MMStar cannot be decoded"):
        writing.write_items(tmp_path / "items", [find(tsvs.pinned(path))], {"test": "all"}, data=tmp_path)


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a table of these rows."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
