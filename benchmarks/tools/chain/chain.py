"""A finished study as `frism verify` sees it, and how a link is found broken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from benchmarks.questions import item, reading
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import RECORD, Layout
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

AGAIN = "restore it, or run snakemake again"


class BrokenLinkError(UserError):
    """A link that does not hold. The message is one sentence that names the file and what to do."""


@dataclass
class Chain:
    """A finished study: its results folder, the config it was run with, and what links hand on.

    Attributes:
        digests: of the checkpoints as they are now, by role; known after the first link.
        recipes: by variant; known after the second.
    """

    results: Path
    study: StudyConfig
    digests: dict[str, str] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    _read: dict[Path, dict[str, list[item.Item]]] = field(default_factory=dict)

    @classmethod
    def open(cls, target: Path) -> Self:
        """From a results folder or a config file. Raises UserError when there is no such study.

        A config file must say what the study was run with.
        """
        if target.is_dir():
            return cls(target, StudyConfig.read(target / RECORD))
        if not target.exists():
            raise UserError(f"{target} does not exist: name a results folder or a study's config.")
        given = StudyConfig.load(target)
        results = Path("results", given.study)
        recorded = StudyConfig.read(results / RECORD)
        if difference := _first_difference(given.model_dump(), recorded.model_dump()):
            raise UserError(
                f"{target} is not what {results} was run with ({difference} differs): run snakemake."
            )
        return cls(results, recorded)

    @property
    def layout(self) -> Layout:
        """The files of the results."""
        return Layout(self.results)

    @property
    def variants(self) -> list[str]:
        """All variants."""
        return list(self.study.variants)

    def items_folder(self, variant: str) -> Path:
        """The folder of the questions that a variant answered."""
        return self.layout.items(variant if self.study.variants[variant].own_items else None)

    @cached_property
    def triple(self) -> Triple:
        """The three checkpoints, opened in the study's scope."""
        return self.study.triple.open(self.study.scope)

    def items(self, variant: str) -> dict[str, list[item.Item]]:
        """The test questions that a variant answered."""
        folder = self.items_folder(variant)
        if folder not in self._read:
            self._read[folder] = reading.load_items(folder, "test", self.study.benchmark_names)
        return self._read[folder]


def compare(path: Path, said: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise BrokenLinkError unless the provenance `said` in `path` names the values `expected`."""
    for name, value in expected.items():
        if said.get(name) != value:
            raise BrokenLinkError(
                f"{path} names another source of the scores than is there ({name}: {str(said.get(name))[:16]}"
                f" instead of {str(value)[:16]}): {AGAIN}."
            )


def same(written: Path, made: Path) -> None:
    """Raise BrokenLinkError unless two files hold the same bytes."""
    try:
        equal = written.read_bytes() == made.read_bytes()
    except OSError as error:
        raise BrokenLinkError(
            f"cannot read {error.filename} ({error.strerror}): run snakemake again."
        ) from None
    if not equal:
        raise BrokenLinkError(f"{written} is not what comes out when it is made again: {AGAIN}.")


def _first_difference(given: Any, recorded: Any, place: str = "") -> str:
    """The first key of `given` whose value is another in `recorded`."""
    if isinstance(given, dict) and isinstance(recorded, dict):
        for key, value in {**dict.fromkeys(recorded), **given}.items():
            if difference := _first_difference(value, recorded.get(key), f"{place}.{key}".strip(".")):
                return difference
        return ""
    return "" if given == recorded else place
