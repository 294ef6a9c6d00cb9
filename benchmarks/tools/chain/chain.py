"""Open a finished study for `frism verify`, and report a broken link of its chain."""

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
    """Reports a link that does not hold, in one sentence that names the file and what to do."""


@dataclass
class Chain:
    """Holds a finished study: its results folder, the config it was run with, and what links hand on.

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
        """Open a results folder or a config file. Raises UserError when there is no such study.

        A config file must say what the study was run with.
        """
        if target.is_dir():
            return cls(target, StudyConfig.read(target / RECORD))
        if not target.exists():
            raise UserError(f"{target} does not exist: name a results folder or a study's config.")
        config = StudyConfig.load(target)
        results = Path("results", config.study)
        recorded = StudyConfig.read(results / RECORD)
        if difference := _find_difference(config.model_dump(), recorded.model_dump()):
            raise UserError(
                f"{target} differs in {difference} from the config that {results} was run with:"
                " run snakemake."
            )
        return cls(results, recorded)

    @property
    def layout(self) -> Layout:
        """Name the files of the results."""
        return Layout(self.results)

    @property
    def variants(self) -> list[str]:
        """List all variants."""
        return list(self.study.variants)

    def items_folder(self, variant: str) -> Path:
        """Return the folder of the questions that a variant answered."""
        return self.layout.items(variant if self.study.variants[variant].needs_own_items else None)

    @cached_property
    def triple(self) -> Triple:
        """Open the three checkpoints in the study's scope."""
        return self.study.triple.open(self.study.scope)

    def triple_of(self, variant: str) -> Triple:
        """Open the checkpoints that a variant is merged from, in its scope: it may have a base of its own."""
        settings = self.study.variants[variant]
        if settings.base is None and settings.scope is None:
            return self.triple
        return self.study.triple.open(settings.scope or self.study.scope, base=settings.base)

    def digests_of(self, variant: str) -> Mapping[str, str]:
        """Return the digests of those checkpoints."""
        return self.digests if self.study.variants[variant].base is None else self.triple_of(variant).digest

    def items(self, variant: str) -> dict[str, list[item.Item]]:
        """Read the test questions that a variant answered."""
        folder = self.items_folder(variant)
        if folder not in self._read:
            self._read[folder] = reading.load_items(folder, "test", self.study.benchmark_names)
        return self._read[folder]


def check_provenance(path: Path, recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise BrokenLinkError unless the provenance `recorded` in `path` has the values `expected`."""
    for name, value in expected.items():
        if recorded.get(name) != value:
            raise BrokenLinkError(
                f"{path} records {name} {str(recorded.get(name))[:16]}, but the files on disk give"
                f" {str(value)[:16]}: {AGAIN}."
            )


def check_same_bytes(written: Path, recomputed: Path) -> None:
    """Raise BrokenLinkError unless two files hold the same bytes."""
    try:
        equal = written.read_bytes() == recomputed.read_bytes()
    except OSError as error:
        raise BrokenLinkError(
            f"cannot read {error.filename} ({error.strerror}): run snakemake again."
        ) from None
    if not equal:
        raise BrokenLinkError(f"recomputing {written} gives different bytes: {AGAIN}.")


def _find_difference(config: Any, recorded: Any, path: str = "") -> str:
    """Return the first key of `config` whose value is another in `recorded`."""
    if isinstance(config, dict) and isinstance(recorded, dict):
        for key, value in {**dict.fromkeys(recorded), **config}.items():
            if difference := _find_difference(value, recorded.get(key), f"{path}.{key}".strip(".")):
                return difference
        return ""
    return "" if config == recorded else path
