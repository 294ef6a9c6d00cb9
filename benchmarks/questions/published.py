"""Questions of a published benchmark: from its TSV to prompts, pictures and a table without pictures.

VLMEvalKit's own class reads the table, writes the pictures and builds the prompts; it gets one row's pictures
at a time. What is written stands alone: scoring and VLMEvalKit's own loop read <split>/<dataset>.tsv.
"""

import base64
import binascii
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.prompting.families import Family, Message
from benchmarks.prompting.vlmevalkit_models import write_message
from benchmarks.questions import clusters, tsv
from benchmarks.registry.definition import Definition
from frism.errors import UserError
from frism.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Question:
    """One question; a picture of its message is a whole path."""

    index: str
    message: Message
    answer: str
    cluster: str


class Published:
    """A benchmark's TSV, opened by VLMEvalKit's class.

    Attributes:
        indices, clusters: of every question that the class keeps (it drops those without a picture).
    """

    def __init__(self, definition: Definition, path: Path, folder: Path) -> None:
        """`folder` is the items folder. Raises UserError for a table that the class cannot read."""
        from benchmarks.vlmevalkit.loading import (
            dataset_class,
            environment,
            modules_of,
            replaced,
            replaced_in,
        )

        self.definition, self.folder = definition, folder.resolve()
        self.table = tsv.read(path)
        found: Any = dataset_class(definition.dataset_class)
        frame = self.table.frame
        with (
            environment(LMUData=str(self.folder)),
            replaced(found, DATASET_MD5={}, DATASET_URL={}, load_data=lambda *_: frame.copy()),
            replaced_in(modules_of(found), download_file=_never),
        ):
            try:
                self.dataset = found(dataset=definition.dataset)
            except Exception as error:  # a class may do anything with its table
                raise UserError(
                    f"VLMEvalKit's {definition.dataset_class} cannot read {path} ({error!r}): is it the table"
                    f" of {definition.dataset}?"
                ) from error
        self.images = Path("images", definition.dataset)  # VLMEvalKit lets some datasets share a folder
        rows = {str(index): row for row, index in enumerate(frame["index"])}
        self.indices = [str(index) for index in self.dataset.data["index"]]
        self._rows = [rows[index] for index in self.indices]
        kept = frame.iloc[self._rows]
        self.clusters = clusters.of(definition, kept, [self.table.prints[row] for row in self._rows])

    def write(self, split: str, chosen: Sequence[int], prompting: Family | None) -> list[Question]:
        """Write the pictures and the table of a split into the items folder; return its questions.

        Args:
            chosen: positions in `indices`.
            prompting: the model family's rule; None asks as the dataset class does by itself.

        Raises UserError for a picture that is missing or cannot be read, and for questions on videos.
        """
        root = self.folder / split
        self.dataset.img_root = str(root / self.images)
        Path(self.dataset.img_root).mkdir(parents=True, exist_ok=True)
        questions, places = [], []
        with self._writing_into(root):
            for position in chosen:
                line = self._line(position, root)
                ask = self.dataset.build_prompt if prompting is None else self._asked_by(prompting)
                message = self._with_files(ask(line), position, root)
                answer = line.get("answer", "")
                answer = "" if answer != answer else str(answer)
                questions.append(Question(self.indices[position], message, answer, self.clusters[position]))
                places.append(self._place(line))
        self._write_table(root, chosen, places)
        return questions

    def _asked_by(self, prompting: Family) -> Callable[[Any], Message]:
        return lambda line: write_message(prompting, self.dataset, line)

    def _line(self, position: int, root: Path) -> "pd.Series[Any]":
        """A row as VLMEvalKit has it in memory: with its pictures, or with whole paths to them."""
        import pandas as pd

        line = dict(self.dataset.data.iloc[position])
        if isinstance(line.get("image"), str):
            line["image"] = self.table.pictures(line["image"])
        elif "image_path" in line:
            cells = line["image_path"] if isinstance(line["image_path"], list) else [line["image_path"]]
            paths = [self._brought(cell, root) for cell in cells]
            line["image_path"] = paths if isinstance(line["image_path"], list) else paths[0]
        return pd.Series(line, dtype=object)

    def _brought(self, cell: str, root: Path) -> str:
        """A picture that the table names by its path, copied into the items folder."""
        target = root / self.images / _inside(cell)
        if not target.is_file():
            near = self.table.path.parent
            source = next((p for p in (near / self.images / cell, near / cell) if p.is_file()), None)
            if source is None:
                raise UserError(
                    f"{near / self.images / cell} is missing, which {self.table.path} names: put it there."
                )
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)
        return str(target)

    def _place(self, line: "pd.Series[Any]") -> str | list[str]:
        """What stands for a row's pictures in the written table: their paths below its folder of pictures."""
        if isinstance(line.get("image"), str | list):
            paths = self.dataset.dump_image(line)
        else:
            paths = line.get("image_path", [])
        paths = [paths] if isinstance(paths, str) else paths
        places = [os.path.relpath(path, self.dataset.img_root) for path in paths]
        return places[0] if len(places) == 1 else places or ""

    def _write_table(self, root: Path, chosen: Sequence[int], places: Sequence[str | list[str]]) -> None:
        table = self.table.frame.iloc[[self._rows[position] for position in chosen]]
        table = table.drop(columns="image", errors="ignore")
        if any(places):
            table = table.assign(image_path=list(places))
        with atomic_write(root / f"{self.definition.dataset}.tsv") as temporary:
            table.to_csv(temporary, sep="\t", index=False, quoting=1)

    def _with_files(self, message: Message, position: int, root: Path) -> Message:
        """The message with every picture in a file of the items folder and every text a text."""
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

    @contextmanager
    def _writing_into(self, root: Path) -> Iterator[None]:
        """VLMEvalKit's surroundings while it builds prompts: its data folder, pictures whole or absent."""
        from benchmarks.vlmevalkit.loading import environment, modules_of, replaced_in

        modules = modules_of(type(self.dataset))
        with (
            environment(LMUData=str(root)),
            replaced_in(modules, decode_base64_to_image_file=self._decode),
        ):
            yield

    def _decode(self, content: str, path: str, target_size: int = -1) -> None:
        """`decode_base64_to_image_file`, atomically. Raises UserError for what is no picture."""
        from vlmeval.smp.vlm import decode_base64_to_image_file

        try:
            with atomic_write(path) as temporary:
                decode_base64_to_image_file(content, str(temporary), target_size)
        except (binascii.Error, OSError, ValueError) as error:
            raise UserError(
                f"{self.table.path}: the picture for {Path(path).name} is broken ({error}): fetch it again."
            ) from error


def _never(url: str, *_: Any) -> None:
    raise ValueError(f"it would download {url}")


def _inside(name: str) -> str:
    """A relative path that stays inside its folder, whatever a table says."""
    return "/".join(part for part in Path(name).parts if part not in ("/", "..", "\\"))
