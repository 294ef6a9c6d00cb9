"""A finished study as `frism verify` sees it, and how a link is found broken."""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from benchmarks.questions import item, reading
from frism.errors import UserError
from frism.files import read_json
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

RECORD = "study.json"
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
    config: dict[str, Any]
    digests: dict[str, str] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)

    @classmethod
    def open(cls, target: Path) -> Self:
        """From a results folder or a config file. Raises UserError when there is no such study.

        A config file must say what the study was run with.
        """
        if target.is_dir():
            return cls(target, _recorded(target))
        try:
            given = yaml.safe_load(target.read_text(encoding="utf-8"))
            results = Path("results", given["study"])
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise UserError(f"{target} is neither a results folder nor a study's config ({error}).") from None
        config = _recorded(results)
        if difference := _first_difference(given, config):
            raise UserError(
                f"{target} is not what {results} was run with ({difference} differs): run snakemake."
            )
        return cls(results, config)

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.config["study"])

    @property
    def variants(self) -> list[str]:
        """All variants."""
        return list(self.config["variants"])

    @property
    def owners(self) -> list[str]:
        """Whoever has a text column."""
        return ["base", "lrm", *self.variants] if self.config.get("text") else []

    def listed(self, key: str) -> str:
        """The benchmarks under a key, as `registry.find_all` reads them."""
        return json.dumps(self.config[key])

    def names(self, key: str) -> list[str]:
        """The names of the benchmarks under a key."""
        return [entry if isinstance(entry, str) else entry["name"] for entry in self.config[key]]

    @cached_property
    def triple(self) -> Triple:
        """The three checkpoints, opened in the study's scope."""
        return Triple.open(**self.config["triple"], scope=self.config["scope"])

    @cached_property
    def items(self) -> dict[str, list[item.Item]]:
        """The test questions."""
        return reading.load(self.results / "items", "test", self.names("benchmarks"))

    @cached_property
    def slice(self) -> str:
        """The config as the last stages take it."""
        return json.dumps(self.config)


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


def called(command: Any, **arguments: Any) -> None:
    """A command line's function, in this process; its UserError is not turned into an exit."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # their progress is not ours
        command.__wrapped__(**arguments)


def _recorded(results: Path) -> dict[str, Any]:
    path = results / RECORD
    if not path.is_file():
        raise UserError(f"{path} is missing: {results} is no finished study; run snakemake first.")
    return read_json(path)["config"]


def _first_difference(given: Any, recorded: Any, place: str = "") -> str:
    """The first key of `given` whose value is another in `recorded`; defaults may be left out."""
    if isinstance(given, dict) and isinstance(recorded, dict):
        for key, value in given.items():
            if difference := _first_difference(value, recorded.get(key), f"{place}.{key}".strip(".")):
                return difference
        return ""
    return "" if given == recorded else place
