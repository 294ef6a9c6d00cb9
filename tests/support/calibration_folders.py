"""Pictures and mirrors of VizWiz-VQA in the forms that people have them in, made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ORIENTATION = 0x0112  # EXIF


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (60, 40), **options: Any) -> Path:
    """Write a picture of seeded noise in large tiles, in the format of the suffix."""
    tiles = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tiles).resize(size, Image.Resampling.NEAREST).save(path, **options)
    return path


def turned(path: Path, orientation: int, seed: int = 0) -> Path:
    """A photograph that says in its EXIF how it is to be turned."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return picture(path, seed, exif=exif)


def annotations(n: int, split: str = "train", **labels: Any) -> list[dict[str, Any]]:
    """Entries as in the authors' train.json; `labels` replace the labels of all of them."""
    own = {
        "answers": [{"answer": "a can", "answer_confidence": "yes"}] * 10,
        "answer_type": "other",
        "answerable": 1,
    } | labels
    return [
        {"image": f"VizWiz_{split}_{i:08}.jpg", "question": f"What is number {i}?", **own} for i in range(n)
    ]


def official(folder: Path, n: int = 6, split: str = "train", text: str | None = None) -> Path:
    """The authors' form: Annotations/<split>.json (or this text) and a folder of pictures."""
    entries = annotations(n, split)
    for i, entry in enumerate(entries):
        picture(folder / split / entry["image"], seed=i)
    table = folder / "Annotations" / f"{split}.json"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(entries) if text is None else text)
    return folder


def shards(
    mirror: Path, folder: Path, n: int = 6, split: str = "train", files: int = 2, named: bool = True
) -> list[Path]:
    """The hub's form of the same questions and pictures: parquet files with small groups of rows."""
    entries, written = annotations(n, split), []
    (folder / "data").mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(n), files)):
        rows = [entries[i] for i in part]
        images = [
            {
                "bytes": (mirror / split / row["image"]).read_bytes(),
                "path": row["image"] if named else None,
            }
            for row in rows
        ]
        table = pa.table(
            {
                "question_id": [row["image"] for row in rows],
                "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
                "question": [row["question"] for row in rows],
                "answers": [["a can", "unanswerable"]] * len(rows),
                "category": ["other"] * len(rows),
            }
        )
        written.append(folder / "data" / f"{split}-{number:05}-of-{files:05}.parquet")
        pq.write_table(table, written[-1], row_group_size=2)
    return written
