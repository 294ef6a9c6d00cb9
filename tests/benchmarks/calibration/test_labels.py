"""Labels are never read: poisoned ones of every kind give the same questions, digest and gates."""

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.calibration.load import load_calibration
from benchmarks.study.calibration_settings import CalibrationSettings
from frism.triples.triple import Triple
from tests.support import calibration_folders
from tests.support.fits import fit

N = 6
# What stands for `answers`, `answer_type` and `answerable`, as JSON text.
POISON = {
    "other answers": ('["wrong"]', '"number"', "0"),
    "nothing": ("null", "null", "null"),
    "another kind": ("7", "[[]]", '{"image": "x.jpg", "question": "Poisoned?"}'),
    "numbers of any digits": ("9" * 5000, "1e999999", "-Infinity"),
    "deep": ("[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "true"),
    "no letters": ('"\\ud800\\u0000\\udfff"', '"\\u2028"', "NaN"),
    "long": (json.dumps("x" * 300_000), json.dumps(list(range(5000))), "1"),
}
PARAMS = {"steps": 3, "batch": 2, "max_new_tokens": 4, "lr": 0.05}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))


def asked(folder: Path, source: str = "vizwiz") -> CalibrationSet:
    return load_calibration(CalibrationSettings(source=source, folder=str(folder), questions=4), 0)  # type: ignore[arg-type]


def seen(data: CalibrationSet) -> list[tuple[bytes, str]]:
    return [(picture.tobytes(), text) for picture, text in data.questions]


def entries(poison: tuple[str, str, str]) -> list[str]:
    """The authors' entries with other labels, as JSON text: some of it no json.dumps would write."""
    names, found = ("answers", "answer_type", "answerable"), []
    for entry in calibration_folders.annotations(N):
        kept = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in entry.items() if k not in names]
        labels = [f"{json.dumps(k)}: {v}" for k, v in zip(names, poison, strict=True)]
        found.append("{" + ", ".join([*labels, *kept]) + "}")
    return found


@pytest.fixture
def clean(tmp_path: Path) -> CalibrationSet:
    return asked(calibration_folders.official(tmp_path / "clean"))


@pytest.mark.parametrize("kind", POISON)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_poisoned_json(tmp_path: Path, clean: CalibrationSet, kind: str, form: str) -> None:
    rows = entries(POISON[kind])
    if form == "json":
        poisoned = asked(calibration_folders.official(tmp_path / "bad", text="[" + ",\n".join(rows) + "]"))
    else:
        folder = calibration_folders.official(tmp_path / "bad") / "train"
        (folder / "questions.jsonl").write_text("\n".join(rows))
        poisoned = asked(folder, "folder")
    assert poisoned.digest == clean.digest
    assert seen(poisoned) == seen(clean)


def test_labels_that_are_not_even_text(tmp_path: Path, clean: CalibrationSet) -> None:
    """Bytes of no encoding, a name in the place of a label, and quotes that would shift the columns."""
    for label in (b"\xff\xfe\x80", b"=cmd()", b'"x,\n""y"""', b"", b"z" * 200_000):
        folder = calibration_folders.official(tmp_path / str(len(label))) / "train"
        rows = [b"answer,question,image"]
        for entry in calibration_folders.annotations(N):
            rows.append(b",".join([label, entry["question"].encode(), entry["image"].encode()]))
        (folder / "questions.csv").write_bytes(b"\n".join(rows))
        assert asked(folder, "folder").digest == clean.digest


def test_chunks_of_labels_in_parquet_files_are_not_read(tmp_path: Path, clean: CalibrationSet) -> None:
    """Every byte of the other columns' chunks is overwritten: reading one of them fails."""
    shards = calibration_folders.shards(tmp_path / "clean", tmp_path / "hub")
    for shard in shards:
        content, groups = bytearray(shard.read_bytes()), pq.read_metadata(shard)
        for group in range(groups.num_row_groups):
            for number in range(groups.num_columns):
                chunk = groups.row_group(group).column(number)
                if chunk.path_in_schema.split(".")[0] in ("answers", "category", "question_id"):
                    start = chunk.dictionary_page_offset or chunk.data_page_offset
                    content[start : start + chunk.total_compressed_size] = (
                        b"\xff" * chunk.total_compressed_size
                    )
        shard.write_bytes(content)
        with pytest.raises(OSError, match=r"."):
            pd.read_parquet(shard, columns=["answers"])
    assert asked(tmp_path / "hub").digest == clean.digest


class Poisoned:
    """Calibration questions beside labels that raise when anything looks at them."""

    def __init__(self, data: CalibrationSet) -> None:
        self.questions, self.description, self.digest = data.questions, data.description, data.digest

    def __len__(self) -> int:
        return len(self.questions)

    def __getattr__(self, name: str) -> NoReturn:
        if re.search("label|answer|target|gold", name):
            raise AssertionError(f"a label was read: {name}")
        raise AttributeError(name)


def gates(triple: Triple, data: Any) -> dict[str, torch.Tensor]:
    return fit("frism", triple, PARAMS, calibration=data).flatten()


def test_gates_are_equal_whatever_the_labels_say(
    tmp_path: Path, triple: Triple, clean: CalibrationSet
) -> None:
    """A real fit on the real classes, from the same pictures with other labels."""
    rows = entries(POISON["another kind"])
    poisoned = Poisoned(
        asked(calibration_folders.official(tmp_path / "bad", text="[" + ",".join(rows) + "]"))
    )
    own, other = gates(triple, clean), gates(triple, poisoned)
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)
    opened = [value for name, value in own.items() if name.endswith("/open")]
    assert any((value != 0.5).any() for value in opened), "nothing was learned"
