"""Items: read back as written, verified, and never mixed with those of another run."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.questions import reading, writing
from benchmarks.registry import lookup
from benchmarks.registry.lookup import find
from benchmarks.stages import items
from frism.errors import UserError
from tests.benchmarks.conftest import QUESTIONS, SUITES, invoke, refused
from tests.support.studies import record


@pytest.fixture
def copied(items_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(items_folder, tmp_path / "items")


def test_items_come_in_order_with_their_pictures(items_folder: Path) -> None:
    loaded = reading.load_items(items_folder, "test", ",".join(reversed(SUITES)))
    assert list(loaded) == SUITES[::-1]
    for name, group in loaded.items():
        assert [item.index for item in group] == [str(i) for i in range(QUESTIONS)]
        assert all(item.benchmark == name for item in group)
        assert len({item.content for item in group}) == QUESTIONS
        assert len(group[0].pictures()) == 1
    asked, unasked = loaded["mini_total"], loaded["mini_total_unasked"]
    assert [i.images for i in asked] == [i.images for i in unasked]
    assert not {i.content for i in asked} & {i.content for i in unasked}


def test_written_twice_is_the_same(items_folder: Path, tmp_path: Path) -> None:
    definitions = [find(name).model_copy(update={"sha256": {}}) for name in SUITES]
    writing.write_items(tmp_path / "again", definitions, {"test": QUESTIONS})
    for path in [p for p in items_folder.rglob("*") if p.is_file() and "prepared" not in p.parts]:
        assert (tmp_path / "again" / path.relative_to(items_folder)).read_bytes() == path.read_bytes()


def test_another_seed_leaves_nothing_of_the_first(copied: Path) -> None:
    """VLMEvalKit keeps a picture that is already there under the question's number."""
    before = reading.load_items(copied, "test", "mini_number")["mini_number"]
    writing.write_items(copied, [find("mini_number")], {"test": QUESTIONS}, seed=1)
    after = reading.load_items(copied, "test", "mini_number")["mini_number"]
    assert not {i.images for i in before} & {i.images for i in after}
    assert [len(i.pictures()) for i in after] == [1] * QUESTIONS
    assert not (copied / "test" / "mini_total.jsonl").exists()


def test_a_changed_file_is_refused(copied: Path) -> None:
    path = copied / "test" / "mini_total.jsonl"
    path.write_text(path.read_text().replace("Explain", "Briefly"))
    with pytest.raises(UserError, match=r"mini_total\.jsonl was changed"):
        reading.load_items(copied, "test", ["mini_total"])


def test_a_changed_or_missing_picture_is_refused(copied: Path) -> None:
    item = reading.load_items(copied, "test", ["mini_total"])["mini_total"][0]
    path = copied / item.message[0]["value"]
    Image.new("RGB", (84, 84)).save(path)
    with pytest.raises(UserError, match=r"0\.png is not the picture"):
        item.pictures()
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*0\.png"):
        item.pictures()


def test_unfinished_or_absent_items_are_refused(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no items of benchmark mini_add"):
        reading.load_items(copied, "test", ["mini_add"])
    with pytest.raises(UserError, match="on split 'dev'"):
        reading.load_items(copied, "dev", ["mini_total"])
    (copied / "manifest.json").unlink()
    for folder in (copied, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no finished items"):
            reading.load_items(folder, "test", ["mini_total"])


def test_recorded_digests_are_written_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    shutil.copy(lookup.FOLDER / "mini_place.yaml", folder)
    monkeypatch.setattr(lookup, "FOLDER", folder)
    manifest = writing.write_items(tmp_path / "items", [find("mini_place")], {"dev": 5})
    items.pin_digests(manifest, [find("mini_place")])
    definition = find("mini_place")
    assert len(definition.sha256["dev-5-seed0"]) == 64
    writing.write_items(tmp_path / "items", [definition], {"dev": 5})
    wrong = definition.model_copy(update={"sha256": {"dev-5-seed0": "0" * 64}})
    with pytest.raises(UserError, match=r"mini_place\.yaml: the data of dev-5-seed0 have sha256"):
        writing.write_items(tmp_path / "items", [wrong], {"dev": 5})
    with pytest.raises(UserError, match="no finished items"):
        reading.load_items(tmp_path / "items", "dev", ["mini_place"])


def test_command_line(tmp_path: Path) -> None:
    settings = {"benchmarks": ["mini_place"], "questions": {"dev": 3, "test": 4}}
    own = {"vlm": {"method": "vlm"}, "aloud": {"method": "vlm", "prompting": {"system_prompt": "Think."}}}
    study = record(tmp_path, settings | {"variants": own})
    for variant, folder in (([], "items"), (["--variant", "aloud"], "items_of/aloud")):
        done = invoke(items.main, "--study", study, *variant)
        assert done.exit_code == 0, done.stderr
        manifest = json.loads((tmp_path / folder / "manifest.json").read_text())
        assert manifest["splits"] == {"dev": 3, "test": 4}
        assert manifest["family"]["system_prompt"] == ("Think." if variant else None)
    record(tmp_path, settings | {"benchmarks": ["mini_plce"]})
    assert refused(invoke(items.main, "--study", study), "Did you mean 'mini_place'")
    (tmp_path / "file").mkdir()
    record(tmp_path / "file", settings)
    (tmp_path / "file" / "items").touch()
    assert refused(invoke(items.main, "--study", tmp_path / "file" / "study.json"), "cannot write")
