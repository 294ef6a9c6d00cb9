"""The suites: disjoint splits, the same bytes for the same seed, answers that the world confirms."""

import csv
from pathlib import Path

import pytest

from benchmarks.calibration.load import load_calibration
from benchmarks.miniature import question_families, world
from benchmarks.questions import miniature
from benchmarks.registry.lookup import find, list_defined
from benchmarks.study.calibration_settings import CalibrationSettings
from frism.errors import UserError

csv.field_size_limit(10**7)
MINIATURE = [name for name in list_defined() if name.startswith("mini_")]


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    definition, path = find("mini_total"), tmp_path / "suite.tsv"
    written = []
    for seed in (0, 0, 1):
        miniature.write_tsv(definition, "dev", 8, seed, path)
        written.append(path.read_bytes())
    assert written[0] == written[1] != written[2]


def test_splits_and_calibration_share_no_scene() -> None:
    seen: dict[str, set[world.Scene]] = {"train": set()}
    for split in ("dev", "test", "calibration"):
        seen[split] = {r.scene for name in MINIATURE for r in miniature.make_rows(find(name), split, 60)}
        assert {world.split_of(scene) for scene in seen[split]} == {split}
    for one in seen:
        for other in seen:
            assert one == other or not seen[one] & seen[other]


@pytest.mark.parametrize("name", MINIATURE)
def test_rows_are_different_questions_with_the_request_asked_for(name: str) -> None:
    definition = find(name)
    rows = miniature.make_rows(definition, "test", 50)
    assert [r.index for r in rows] == list(range(50))
    assert len({(r.scene, r.question) for r in rows}) == 50
    request = miniature.REQUESTS[definition.source.miniature.request]
    assert all(r.question.startswith(request) for r in rows)
    if not request:
        assert not any(" : " in r.question.split("?")[0][:10] for r in rows)


def test_a_longer_suite_begins_with_the_shorter_one() -> None:
    assert miniature.make_rows(find("mini_net"), "dev", 30)[:10] == miniature.make_rows(
        find("mini_net"), "dev", 10
    )


@pytest.mark.parametrize("family", ["total", "net", "largest", "conditional"])
def test_unasked_suites_ask_the_same_questions(family: str) -> None:
    asked = miniature.make_rows(find(f"mini_{family}"), "test", 20)
    unasked = miniature.make_rows(find(f"mini_{family}_unasked"), "test", 20)
    assert [(r.scene, r.answer, r.picture_seed) for r in asked] == [
        (r.scene, r.answer, r.picture_seed) for r in unasked
    ]
    assert [question_families.REQUEST_STEPS + r.question for r in unasked] == [r.question for r in asked]


def test_the_table_is_what_vlmevalkit_reads(tmp_path: Path) -> None:
    path = tmp_path / "suite.tsv"
    miniature.write_tsv(find("mini_existence"), "test", 30, 0, path)
    with path.open(newline="") as stream:
        table = list(csv.DictReader(stream, delimiter="\t"))
    assert list(table[0]) == ["index", "image", "question", "answer"]
    assert {row["answer"] for row in table} == {"Yes", "No"}
    assert all(len(row["image"]) > 64 for row in table)  # shorter ones are taken for another row's index


def test_unknown_family_and_split_are_named() -> None:
    definition = find("mini_total")
    source = definition.source.model_copy(
        update={"miniature": definition.source.miniature.model_copy(update={"family": "totl"})}
    )
    with pytest.raises(UserError, match=r"totl.*'total'"):
        miniature.make_rows(definition.model_copy(update={"source": source}), "dev", 1)
    with pytest.raises(UserError, match="unknown split 'tset'"):
        miniature.make_rows(definition, "tset", 1)


def test_calibration_is_unlabelled_perception() -> None:
    settings = CalibrationSettings(questions=25)
    data = load_calibration(settings, 3)
    assert len(data) == 25
    for picture, question in data.questions:
        assert picture.size == (world.SIZE, world.SIZE)
        assert question.startswith(question_families.REQUEST_SHORT)
    again = load_calibration(settings, 3)
    assert again.digest == data.digest != load_calibration(settings, 4).digest
    assert [q for _, q in again.questions] == [q for _, q in data.questions]
    assert [p.tobytes() for p, _ in again.questions] == [p.tobytes() for p, _ in data.questions]


def test_calibration_on_both_kinds_takes_turns_between_them() -> None:
    """Half of them perception, half short chains with a request for steps; every family comes up."""
    data = load_calibration(CalibrationSettings(questions=60, kinds=("perception", "short chains")), 3)
    texts = [question for _, question in data.questions]
    assert all(text.startswith(question_families.REQUEST_SHORT) for text in texts[::2])
    assert all(text.startswith(question_families.REQUEST_STEPS) for text in texts[1::2])
    for words in ("Add", "Reduce", "Which is larger"):
        assert sum(text.startswith(f"{question_families.REQUEST_STEPS}{words}") for text in texts) == 10
    assert "perception and short-chain questions" in data.description
    alone = load_calibration(CalibrationSettings(questions=60, kinds=("perception",)), 3)
    assert alone.digest == load_calibration(CalibrationSettings(questions=60), 3).digest != data.digest
