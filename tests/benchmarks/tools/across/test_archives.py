"""An archive has what `frism across` reads of a study, and nothing is told otherwise for it."""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import RECORD
from benchmarks.tools.across.archives import VECTORS, read_vectors, unpack_studies, write_archive
from benchmarks.tools.across.command import compare
from benchmarks.tools.across.triples import read_population
from benchmarks.tools.across.weights import describe_weights
from frism.errors import UserError
from tests.support.across_studies import make_study, settings

ROOT = Path(__file__).resolve().parents[4]
COMMITTED = sorted((ROOT / "results/reference/population/studies").glob("*.zip"))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("results")
    return [
        make_study(root / f"s{n}", settings(f"s{n}"), (f"b{n}", f"v{n}", f"r{n}"), seed=n) for n in range(2)
    ]


def test_archives_of_studies_give_the_tables_of_the_studies(studies: list[Path], tmp_path: Path) -> None:
    compare(studies, tmp_path / "a", resamples=100, archive=tmp_path / "kept")
    archives = sorted((tmp_path / "kept").iterdir())
    assert [path.name for path in archives] == ["s0.zip", "s1.zip"]
    compare([archives[0], studies[1]], tmp_path / "b", resamples=100)
    for path in sorted((tmp_path / "a/tables").iterdir()):
        assert path.read_bytes() == (tmp_path / "b/tables" / path.name).read_bytes(), path.name
    (told, _) = json.loads((tmp_path / "b/across.json").read_text())["studies"].values()
    assert told["folder"] == str(archives[0])


def test_an_archive_remembers_checkpoints_that_are_gone(studies: list[Path], tmp_path: Path) -> None:
    vectors = {"tau_v": 0.25, "tau_r": 0.5, "ratio": 0.5, "cosine": 0.0625}
    archives = [tmp_path / f"{study.name}.zip" for study in studies]
    for study, archive in zip(studies, archives, strict=True):
        write_archive(study, vectors, archive)
    again = archives[0].read_bytes()
    write_archive(studies[0], vectors, archives[0])
    assert archives[0].read_bytes() == again
    tables, _ = compare(archives, tmp_path / "out", resamples=100)
    assert tables["triples"][list(vectors)].to_dict("records") == [vectors] * 2


def test_what_was_said_stays_behind(studies: list[Path], tmp_path: Path) -> None:
    study = shutil.copytree(studies[0], tmp_path / "study")
    variant = next(path for path in sorted((study / "variants").iterdir()))
    said = variant / "points/0/dev.jsonl"
    said.parent.mkdir(parents=True, exist_ok=True)
    said.write_text('{"raw": "a word"}\n')
    scores = study / f"scores/{variant.name}.csv"
    before = pd.read_csv(scores, dtype=str, keep_default_na=False)
    before.assign(raw='said "so", at length').to_csv(scores, index=False)
    others = {f"scores/{variant.name}.cost.csv": "s\tmax_rss\n1.0\t2.0\n", "scores/x.provenance.json": "{}"}
    for name, content in others.items():
        (study / name).write_text(content)
    write_archive(study, {}, tmp_path / "study.zip")
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        assert {name: archive.read(name).decode() for name in others} == others
        assert not [name for name in archive.namelist() if name.endswith(".jsonl")]
        content = archive.read(f"scores/{variant.name}.csv").decode()
    assert "at length" not in content
    after = pd.read_csv(io.StringIO(content), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(after, before[after.columns])


@pytest.mark.parametrize("damage", ["cut", "text", "no study", "a byte", "a byte of another packer"])
def test_a_damaged_archive_is_refused_in_one_sentence(
    studies: list[Path], tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "study.zip"
    write_archive(studies[0], {}, path)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no archive")
    elif damage == "a byte of another packer":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("study.json", "study " * 1000)
        content = bytearray(path.read_bytes())
        content[45:55] = b"\xff" * 10
        path.write_bytes(content)
    elif damage == "a byte":
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    else:
        shutil.make_archive(str(tmp_path / "study"), "zip", studies[0] / "tables")
    refused = pytest.raises(UserError, match=r"study\.zip (is no archive|holds no study)")
    with refused, unpack_studies([path]):
        pass


def test_names_in_an_archive_do_not_leave_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("../../../outside.txt", "escaped")
        archive.writestr("study.json", "{}")
        archive.writestr(VECTORS, "{}")
    with unpack_studies([tmp_path / "study.zip"]) as folders:
        (folder,) = folders.values()
        assert (folder / "outside.txt").is_file()
    assert not list(tmp_path.rglob("outside.txt"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_archive_is_whole_and_of_its_config(path: Path) -> None:
    config = StudyConfig.load(ROOT / f"config/population/{path.stem.removeprefix('population_')}.yaml")
    with unpack_studies([path]) as found:
        study = StudyConfig.read(found[path] / RECORD)
        assert (study.study, study.labels, study.variants) == (config.study, config.labels, config.variants)
        assert read_vectors(found[path])


def test_models_of_the_committed_studies_are_those_of_the_committed_card(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    with unpack_studies(COMMITTED) as found:
        told = describe_weights(read_population(list(found.values())))
    assert re.fullmatch(r"All \d+ models have the bytes of the committed results\.", told), told


@pytest.mark.slow  # half a minute
def test_the_committed_tables_are_made_of_the_committed_archives(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    compare(COMMITTED, tmp_path)
    reference = COMMITTED[0].parents[1]
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.suffix != ".json")
    assert Path("tables/claims.md") in made and Path("summary.md") in made
    assert not [name for name in made if (reference / name).read_bytes() != (tmp_path / name).read_bytes()]
