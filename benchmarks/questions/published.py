"""Turn a published benchmark's TSV into prompts, picture files and a table without pictures.

VLMEvalKit's own class reads the table, writes the pictures and builds the prompts; it gets one row's pictures
at a time. What is written stands alone: scoring and VLMEvalKit's own loop read <split>/<dataset>.tsv.
"""

import base64
import binascii
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from benchmarks.prompting.families import Family, Message
from benchmarks.prompting.vlmevalkit_models import write_message
from benchmarks.questions import asked_rows, clusters, tsv
from benchmarks.questions.item import UNDECODABLE
from benchmarks.questions.picture_modes import WHITE, find_rule, to_rgb
from benchmarks.registry.definition import Definition
from benchmarks.vlmevalkit.loading import (
    list_modules,
    load_dataset_class,
    replace_attributes,
    replace_in_modules,
    set_environment,
)
from frism.errors import UserError
from frism.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

_WRITTEN = ("1", "L", "LA", "P", "RGB", "RGBA")  # modes that VLMEvalKit writes as PNG by itself

REPLACE = "fetch the table again, delete the row, or count such questions as unanswered (engine.failures)"


@dataclass(frozen=True)
class Question:
    """Hold one question; the pictures of its message are absolute paths."""

    index: str
    message: Message
    answer: str
    cluster: str


class PublishedTable:
    """Read a benchmark's TSV through VLMEvalKit's class, and write splits of it.

    Attributes:
        indices, clusters: of every question that the class keeps (it drops those without a picture).
    """

    def __init__(self, definition: Definition, path: Path, folder: Path, tolerant: bool = False) -> None:
        """`folder` is the items folder; `tolerant` keeps pictures that cannot be decoded as they are.

        Raises UserError for a table that the class cannot read.
        """
        self.definition, self.folder, self.tolerant = definition, folder.resolve(), tolerant
        self.table = tsv.read_table(path)
        loaded = load_dataset_class(definition.dataset_class)
        frame = self.table.frame
        with (
            set_environment(LMUData=str(self.folder)),
            replace_attributes(loaded, DATASET_MD5={}, DATASET_URL={}, load_data=lambda *_: frame.copy()),
            replace_in_modules(list_modules(loaded), download_file=_never),
        ):
            try:
                self.dataset = loaded(dataset=definition.dataset)
            except Exception as error:  # a class may do anything with its table
                raise UserError(
                    f"VLMEvalKit's {definition.dataset_class} cannot read {path} ({error!r}): put the table"
                    f" of {definition.dataset} there."
                ) from error
        self.images = Path("images", definition.dataset)  # VLMEvalKit lets some datasets share a folder
        rows = {str(index): row for row, index in enumerate(frame["index"])}
        self.indices = [str(index) for index in self.dataset.data["index"]]
        self._rows = [rows[index] for index in self.indices]
        digests = [self.table.picture_digests[row] for row in self._rows]
        self.clusters = clusters.assign_clusters(definition, frame.iloc[self._rows], digests)

    def write(self, split: str, chosen: Sequence[int], prompting: Family | None) -> list[Question]:
        """Write the pictures and the table of a split into the items folder; return its questions.

        Args:
            chosen: positions in `indices`.
            prompting: the model family's rule; None asks as the dataset class does by itself.

        Raises UserError for a picture that is missing or cannot be read, for a question or gold answer that
        is empty, for a prompt that the class cannot build, and for questions on videos.
        """
        root = self.folder / split
        self.dataset.img_root = str(root / self.images)
        Path(self.dataset.img_root).mkdir(parents=True, exist_ok=True)
        questions, cells = [], []
        with (
            set_environment(LMUData=str(root)),
            replace_in_modules(list_modules(type(self.dataset)), decode_base64_to_image_file=self._decode),
        ):
            for position in chosen:
                line = self._load_row(position, root)
                message = self._ask(line, position, prompting)
                message = self._store_inline_pictures(message, position, root)
                answer = line.get("answer", "")
                answer = "" if answer != answer else str(answer)
                questions.append(Question(self.indices[position], message, answer, self.clusters[position]))
                cells.append(self._list_pictures(line))
        self._write_table(root, chosen, cells)
        return questions

    def _ask(self, line: "pd.Series[Any]", position: int, prompting: Family | None) -> Message:
        """Build the prompt of a row."""
        where = f"{self.table.path}: question {self.indices[position]} (row {self._rows[position] + 1})"
        asked_rows.check_row(line, where, marked=hasattr(self.dataset, "split_MMMU"))
        if asked_rows.is_empty(line.get("question")):
            line["question"] = asked_rows.NO_QUESTION
        try:
            if prompting is None:
                message: Message = self.dataset.build_prompt(line)
            else:
                message = write_message(prompting, self.dataset, line)
        except UserError:
            raise
        except Exception as error:  # a class may do anything with a row
            raise UserError(
                f"{where}: VLMEvalKit's {self.definition.dataset_class} cannot build its prompt ({error!r}):"
                " correct the row, or delete it."
            ) from error
        asked_rows.check_asked((str(p["value"]) for p in message if p["type"] == "text"), where)
        return message

    def _load_row(self, position: int, root: Path) -> "pd.Series[Any]":
        """Return a row as VLMEvalKit has it in memory: with its pictures, or with absolute paths to them."""
        import pandas as pd

        line = dict(self.dataset.data.iloc[position])
        if isinstance(line.get("image"), str):
            line["image"] = self.table.pictures(line["image"])
        elif "image_path" in line:
            cells = line["image_path"] if isinstance(line["image_path"], list) else [line["image_path"]]
            paths = [self._copy_picture(cell, root) for cell in cells]
            line["image_path"] = paths if isinstance(line["image_path"], list) else paths[0]
        return pd.Series(line, dtype=object)

    def _copy_picture(self, cell: str, root: Path) -> str:
        """Copy a picture that the table names by its path into the items folder; return the new path."""
        target = root / self.images / _inside(cell)
        if not target.is_file():
            data = self.table.path.parent
            source = next((p for p in (data / self.images / cell, data / cell) if p.is_file()), None)
            if source is None:
                raise UserError(
                    f"{data / self.images / cell} is missing, which {self.table.path} names: put it there."
                )
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)
        return str(target)

    def _list_pictures(self, line: "pd.Series[Any]") -> str | list[str]:
        """Return a row's pictures as the written table has them: paths below its folder of pictures."""
        if isinstance(line.get("image"), str | list):
            paths = self.dataset.dump_image(line)
        else:
            paths = line.get("image_path", [])
        paths = [paths] if isinstance(paths, str) else paths
        relative = [os.path.relpath(path, self.dataset.img_root) for path in paths]
        return relative[0] if len(relative) == 1 else relative or ""

    def _write_table(self, root: Path, chosen: Sequence[int], cells: Sequence[str | list[str]]) -> None:
        import pandas as pd

        table = self.table.frame.iloc[[self._rows[position] for position in chosen]]
        table = table.drop(columns="image", errors="ignore")
        if any(cells):
            table = table.assign(image_path=pd.Series(list(cells), index=table.index, dtype=object))
        with atomic_write(root / f"{self.definition.dataset}.tsv") as temporary:
            table.to_csv(temporary, sep="\t", index=False, quoting=1)

    def _store_inline_pictures(self, message: Message, position: int, root: Path) -> Message:
        """Return the message with every picture in a file of the items folder and every value a text."""
        parts = []
        for number, part in enumerate(message):
            kind, value = part["type"], str(part["value"])
            if kind == "image" and value.startswith("data:"):
                content = base64.b64decode(value.partition(",")[2])
                name = _inside(f"{self.indices[position]}_{number}.{value[11:].partition(';')[0]}")
                value = str(root / self.images / name)
                with atomic_write(value) as temporary:
                    temporary.write_bytes(content)
            elif kind not in ("image", "text"):
                raise UserError(
                    f"benchmark {self.definition.name} asks about a {kind}, not about pictures: drop it."
                )
            parts.append({**part, "value": value})
        return parts

    def _decode(self, content: str, path: str, target_size: int = -1) -> None:
        """Do as `decode_base64_to_image_file`, atomically, with every mode of pictures.

        Transparency is kept, for whoever shows the picture. Raises UserError for what is no picture.
        """
        from vlmeval.smp.vlm import decode_base64_to_image_file

        try:
            kept = _keep_mode(content)
            with atomic_write(path) as temporary:
                if kept is None:
                    decode_base64_to_image_file(content, str(temporary), target_size)
                else:  # as PNG, whatever the name: a JPEG holds no transparency
                    kept.save(temporary, "PNG")
        except (binascii.Error, *UNDECODABLE) as error:
            if not self.tolerant:
                raise UserError(
                    f"{self.table.path}: the picture for {Path(path).name} is broken ({error}): {REPLACE}."
                ) from error
            with atomic_write(path) as temporary:
                temporary.write_bytes(content.encode())  # no picture either, and of these very bytes


def _keep_mode(content: str) -> Image.Image | None:
    """Read a picture that VLMEvalKit would not write, or not as it is; None for the others."""
    picture: Image.Image = Image.open(io.BytesIO(base64.b64decode(content)))
    picture.load()
    rule = find_rule(picture)
    if rule == WHITE:
        return picture.convert("RGBA")
    return to_rgb(picture) if rule or picture.mode not in _WRITTEN else None


def _never(url: str, *_: object) -> None:
    raise ValueError(f"it would download {url}")


def _inside(name: str) -> str:
    """Return a relative path that stays inside its folder, whatever a table says."""
    return "/".join(part for part in Path(name).parts if part not in ("/", "..", "\\"))
