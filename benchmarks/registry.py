"""The benchmarks that exist: one small YAML file each, checked when it is read."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frism.errors import UserError, nearest

FOLDER = Path(__file__).with_name("definitions")
Axis = Literal["perception", "reasoning", "text", "other"]
Answers = Literal["text", "yes_no", "option"]


class MiniatureSource(BaseModel):
    """Questions made from the miniature world: a question family, and what the question asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    family: str
    request: Literal["short", "steps", "none"]


class Source(BaseModel):
    """Where a benchmark's TSV comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    miniature: MiniatureSource


class Definition(BaseModel):
    """One benchmark.

    Attributes:
        name: the file's name without suffix.
        dataset: name of the TSV. VLMEvalKit chooses a VQA set's metric by it: "GQA" means exact match.
        dataset_class: VLMEvalKit's class, or `PlainVQADataset` (ImageVQADataset without its own request).
        metric: the metric that VLMEvalKit must come to use; checked before anything is scored.
        answers: what an answer looks like, for the extractor.
        judge: `exact_matching` alone: a language model as judge would not give the same score twice.
        sha256: digest of the data per "<split>-<questions>-seed<seed>"; checked where it is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    name: str
    title: str
    axis: Axis
    group: str
    dataset: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    dataset_class: str = Field(alias="class")
    metric: Literal["accuracy", "relaxed_accuracy", "anls", "vqa_score", "yes_no", "option"]
    answers: Answers = "text"
    judge: Literal["exact_matching"] = "exact_matching"
    version: int = Field(ge=1)
    source: Source
    sha256: dict[str, str] = {}

    def __hash__(self) -> int:
        return hash((self.name, self.dataset, self.dataset_class))

    @property
    def path(self) -> Path:
        """The definition's file."""
        return FOLDER / f"{self.name}.yaml"


def available() -> list[str]:
    """Names of all benchmarks, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Definition:
    """The benchmark called `name`. Raises UserError for an unknown name and for a faulty file."""
    path = FOLDER / f"{name}.yaml"
    if name not in available():
        near = nearest(name, available()) or f" There are: {', '.join(available())}."
        raise UserError(f"unknown benchmark '{name}'.{near}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Definition.model_validate({**content, "name": name})
    except (yaml.YAMLError, TypeError) as error:
        raise UserError(f"{path} is not a YAML mapping ({error}): correct it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {where}: {first['msg']}: correct the definition.") from error


def find_all(names: str) -> list[Definition]:
    """The benchmarks of a comma-separated list, in its order, each once. Raises UserError as `find`."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UserError("no benchmark is named: give one or more, separated by commas.")
    return [find(name) for name in dict.fromkeys(wanted)]
